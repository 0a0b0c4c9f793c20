"""A ROS 2 node beside a running line: an image topic in, vision_msgs/Detection2DArray out.

For users who have ROS 2 (rclpy, cv_bridge, vision_msgs); perception does not need it. Start
`perception run` with a camera of `source: push`, then:

    python docs/ros2_bridge.py LINE CAMERA /camera/image_raw
"""

import sys
import threading

import rclpy
from cv_bridge import CvBridge
from rclpy.node import Node
from sensor_msgs.msg import Image
from vision_msgs.msg import Detection2D, Detection2DArray, ObjectHypothesisWithPose

import perception
from perception.recording.bag import topic_name
from perception.wire import text_id


class Bridge(Node):
    """Pushes each image into the line with its stamp; publishes each frame's confirmed tracks."""

    def __init__(self, line: str, camera: str, topic: str) -> None:
        super().__init__("perception_bridge")
        self._run, self._camera = perception.connect(line, timeout_s=30), camera
        self._pusher, self._images = self._run.push(camera), CvBridge()
        self._out = self.create_publisher(Detection2DArray, f"/{topic_name(camera)}/tracks", 10)
        self.create_subscription(Image, topic, self._take, 1)
        threading.Thread(target=self._tell, daemon=True).start()

    def _take(self, message: Image) -> None:
        stamp = message.header.stamp
        image = self._images.imgmsg_to_cv2(message, desired_encoding="bgr8")
        self._pusher.send(image, stamp.sec * 1_000_000_000 + stamp.nanosec)

    def _tell(self) -> None:
        for frame in self._run.tracks(self._camera):
            out = Detection2DArray()
            out.header.frame_id = self._camera
            seconds, rest = divmod(frame.stamp.t_media_ns, 1_000_000_000)
            out.header.stamp.sec, out.header.stamp.nanosec = seconds, rest
            for track in frame:
                if track.state != "confirmed":
                    continue
                x1, y1, x2, y2 = track.box
                found, result = Detection2D(), ObjectHypothesisWithPose()
                found.header, found.id = out.header, text_id(track.track_id)
                found.bbox.center.position.x, found.bbox.center.position.y = (
                    (x1 + x2) / 2,
                    (y1 + y2) / 2,
                )
                found.bbox.size_x, found.bbox.size_y = x2 - x1, y2 - y1
                result.hypothesis.class_id = track.class_name
                result.hypothesis.score = track.score
                found.results.append(result)
                out.detections.append(found)
            self._out.publish(out)


if __name__ == "__main__":
    rclpy.init()
    rclpy.spin(Bridge(*sys.argv[1:4]))
