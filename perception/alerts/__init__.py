"""From events to alerts that are never lost: their life, their store, their delivery.

Stands above rules and sinks, whose Protocols it uses; imports wire and below besides.
"""
