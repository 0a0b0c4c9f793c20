"""What runs in each process of a line: wiring only; the work is done by stages.

A process is a row of PROCESSES: kind -> "module:function". The function takes a Runtime and loops
until `runtime.stopping`, then finishes what is in flight and returns.
"""

PROCESSES = {
    "camera": "perception.processes.camera:run",
    "detection": "perception.processes.detection:run",
    "tracking": "perception.processes.tracking:run",
    "lanes": "perception.processes.lanes:run",
    "identity": "perception.processes.identity:run",
    "alert": "perception.processes.alert:run",
    "recorder": "perception.processes.recorder:run",
    "web": "perception.web.process:run",
    "output": "perception.processes.output:run",
    "show": "perception.processes.show:run",
}
"""In the order in which they start, last first: consumers stand before what feeds them."""
