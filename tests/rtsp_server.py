"""A real RTSP server for tests: GStreamer's, run with the system's python3 (gi from Debian).

    rtsp_server.py PORT [USER PASSWORD] [WIDTHxHEIGHT,...]

Serves rtsp://127.0.0.1:PORT/test: moving test picture, H.264, 30 fps, no B-frames. With several
sizes, the picture changes from one to the next every second. Prints "ready" when it listens.
"""

import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402


def main(port: str, user: str, password: str, sizes: list[str]) -> None:
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(port)
    width, height = sizes[0].split("x")
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(
        "( videotestsrc is-live=true pattern=smpte horizontal-speed=2 ! videoscale"
        f" ! capsfilter name=size caps=video/x-raw,format=I420,width={width},height={height},"
        "framerate=30/1"
        " ! x264enc tune=zerolatency speed-preset=ultrafast key-int-max=15 bitrate=500"
        " ! rtph264pay name=pay0 pt=96 config-interval=-1 )"
    )
    factory.set_shared(True)
    if len(sizes) > 1:
        factory.connect("media-configure", lambda _, media: resize(media, sizes, 0))
    server.get_mount_points().add_factory("/test", factory)
    if user:
        protect(server, factory, user, password)
    if server.attach(None) == 0:
        sys.exit("cannot listen")
    print("ready", flush=True)
    GLib.MainLoop().run()


def resize(media: "GstRtspServer.RTSPMedia", sizes: list[str], n: int) -> None:
    width, height = sizes[n % len(sizes)].split("x")
    caps = f"video/x-raw,format=I420,width={width},height={height},framerate=30/1"
    media.get_element().get_child_by_name("size").set_property("caps", Gst.Caps.from_string(caps))
    GLib.timeout_add(1000, lambda: resize(media, sizes, n + 1))


def protect(
    server: "GstRtspServer.RTSPServer",
    factory: "GstRtspServer.RTSPMediaFactory",
    user: str,
    password: str,
) -> None:
    auth = GstRtspServer.RTSPAuth()
    token = GstRtspServer.RTSPToken()
    token.set_string(GstRtspServer.RTSP_TOKEN_MEDIA_FACTORY_ROLE, "user")
    auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
    server.set_auth(auth)
    permissions = GstRtspServer.RTSPPermissions()
    permissions.add_permission_for_role("user", "media.factory.access", True)
    permissions.add_permission_for_role("user", "media.factory.construct", True)
    factory.set_permissions(permissions)


if __name__ == "__main__":
    _, port, *rest = sys.argv
    shapes = rest.pop() if rest and rest[-1][0].isdigit() else "320x240"
    main(port, *(rest or ["", ""]), sizes=shapes.split(","))
