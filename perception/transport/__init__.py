"""How processes of one host reach each other: sockets for messages, shared memory for frames."""
