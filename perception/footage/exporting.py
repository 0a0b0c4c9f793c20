"""A span of a camera's recordings as one MP4 that every player shows; nothing is encoded again."""

import hashlib
import json
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import av
from av.container import OutputContainer
from av.error import FFmpegError
from av.video.stream import VideoStream
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from perception.errors import ConfigError
from perception.footage.chain import file_hash, head
from perception.footage.rows import SegmentRow

MANIFEST = ".manifest.json"


class Exported(NamedTuple):
    """One file. frames: pictures in it. start_wall_ns: of its first picture."""

    path: Path
    frames: int
    start_wall_ns: int


def export_mp4(
    root: Path, rows: Iterable[SegmentRow], output: Path, from_wall_ns: int, to_wall_ns: int
) -> list[Exported]:
    """Write the pictures of a span, from the last key frame before it; return the files.

    Where codec or size change a second file begins, `-2` before its suffix. Raises ConfigError
    where there is nothing, or a file cannot be read or written.
    """
    done: list[Exported] = []
    out: _Out | None = None
    try:
        for row in rows:
            kind = row.codec, row.width, row.height
            if out is not None and out.kind != kind:
                done.append(out.close())
                out = None
            if out is None:
                n = len(done) + 1
                path = output if n == 1 else output.with_stem(f"{output.stem}-{n}")
                out = _Out(path, kind)
            out.add(root / f"{row.path}.mp4", row, from_wall_ns, to_wall_ns)
        if out is not None:
            done.append(out.close())
    except (FFmpegError, OSError) as error:
        raise ConfigError(f"{output}: {error.strerror or error}") from None
    if not any(one.frames for one in done):
        raise ConfigError("nothing was recorded in that span")
    return done


class _Out:
    """One exported file, its pictures at the times they had."""

    def __init__(self, path: Path, kind: tuple[str, int, int]) -> None:
        self.kind, self._path = kind, path
        self._container: OutputContainer | None = None
        self._stream: VideoStream | None = None
        self._frames, self._start_media_ns, self._start_wall_ns = 0, 0, 0
        self._last_dts = -1

    def add(self, video: Path, row: SegmentRow, from_wall_ns: int, to_wall_ns: int) -> None:
        with av.open(str(video)) as source:
            stream = source.streams.video[0]
            base = stream.time_base or Fraction(1, row.timescale)
            packets = [packet for packet in source.demux(stream) if packet.size]
            if not packets:
                return
            origin = min(packet.pts or 0 for packet in packets)
            after = (from_wall_ns - row.start_wall_ns) / 1e9
            until = (to_wall_ns - row.start_wall_ns) / 1e9
            first = 0
            for n, packet in enumerate(packets):
                at = float(((packet.pts or 0) - origin) * base)
                if packet.is_keyframe and (at <= after or n == 0):
                    first = n
            if self._container is None:
                self._container = av.open(
                    str(self._path), "w", format="mp4", options={"movflags": "faststart"}
                )
                self._stream = self._container.add_stream_from_template(stream)
                seconds = float(((packets[first].pts or 0) - origin) * base)
                self._start_media_ns = row.start_media_ns + round(seconds * 1e9)
                self._start_wall_ns = row.start_wall_ns + round(seconds * 1e9)
            shift = Fraction(row.start_media_ns - self._start_media_ns, 1_000_000_000) / base
            for packet in packets[first:]:
                if float(((packet.pts or 0) - origin) * base) >= until:
                    continue
                self._mux(packet, round(shift) - origin)

    def _mux(self, packet: Any, shift: int) -> None:
        assert self._container is not None
        packet.pts += shift
        packet.dts = max((packet.dts or 0) + shift, self._last_dts + 1)
        self._last_dts = packet.dts
        packet.pts = max(packet.pts, packet.dts)
        packet.stream = self._stream
        self._container.mux_one(packet)
        self._frames += 1

    def close(self) -> Exported:
        if self._container is not None:
            self._container.close()
        return Exported(self._path, self._frames, self._start_wall_ns)


def sign(root: Path, camera: str, exported: Iterable[Exported], key_file: Path) -> list[Path]:
    """Write a signed manifest beside each exported file; return their paths.

    It holds the file's SHA-256, the last hash of the camera's chain, and an Ed25519 signature by
    the key in key_file, which is made (0600) where there is none. Raises ConfigError.
    """
    key = _key(key_file)
    public = key.public_key().public_bytes_raw().hex()
    written: list[Path] = []
    for one in exported:
        said = {
            "file": one.path.name,
            "sha256": file_hash(one.path),
            "camera": camera,
            "frames": one.frames,
            "start_wall_ns": one.start_wall_ns,
            "chain": head(root, camera),
            "public_key": public,
        }
        said["signature"] = key.sign(_signed(said)).hex()
        path = one.path.with_name(one.path.name + MANIFEST)
        path.write_text(json.dumps(said, indent=1) + "\n")
        written.append(path)
    return written


def verify_manifest(manifest: Path) -> str:
    """Return the public key that signed an exported file. Raises ConfigError where it is not so."""
    try:
        said: dict[str, Any] = json.loads(manifest.read_text())
        file = manifest.with_name(Path(str(said["file"])).name)
        public = Ed25519PublicKey.from_public_bytes(bytes.fromhex(said["public_key"]))
        public.verify(bytes.fromhex(said.pop("signature")), _signed(said))
    except InvalidSignature:
        raise ConfigError(f"{manifest}: the signature does not hold") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{manifest}: not a manifest that can be read: {error}") from None
    if not file.is_file() or file_hash(file) != said["sha256"]:
        raise ConfigError(f"{file}: not the file that was signed")
    return str(said["public_key"])


def _signed(said: dict[str, Any]) -> bytes:
    text = json.dumps({k: v for k, v in said.items() if k != "signature"}, sort_keys=True)
    return hashlib.sha256(text.encode()).digest()


def _key(path: Path) -> Ed25519PrivateKey:
    try:
        if path.exists():
            found = serialization.load_pem_private_key(path.read_bytes(), None)
            if isinstance(found, Ed25519PrivateKey):
                return found
            raise ConfigError(f"{path}: not an Ed25519 key")
        key = Ed25519PrivateKey.generate()
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch(0o600)
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return key
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: {error}") from None
