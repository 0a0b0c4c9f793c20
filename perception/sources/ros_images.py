"""Pictures in ROS messages, decoded: sensor_msgs/Image, sensor_msgs/CompressedImage (JPEG, PNG) and
foxglove_msgs/CompressedVideo (H.264, H.265). Imports av, cv2 and the image files of this room.
"""

from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from perception.sources import Image
from perception.sources.images import MAX_PIXELS, Pixels, decode_image
from perception.sources.levels import Levels, LevelsOption

IMAGE, COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
VIDEO = "foxglove_msgs/msg/CompressedVideo"
TYPES = (IMAGE, COMPRESSED, VIDEO)
_CODECS = {"h264": "h264", "h265": "hevc"}

_ENCODINGS: dict[str, tuple[int, type[np.generic], int | None]] = {
    "bgr8": (3, np.uint8, None),
    "8uc3": (3, np.uint8, None),
    "rgb8": (3, np.uint8, cv2.COLOR_RGB2BGR),
    "bgra8": (4, np.uint8, cv2.COLOR_BGRA2BGR),
    "rgba8": (4, np.uint8, cv2.COLOR_RGBA2BGR),
    "mono8": (1, np.uint8, cv2.COLOR_GRAY2BGR),
    "8uc1": (1, np.uint8, cv2.COLOR_GRAY2BGR),
    "mono16": (1, np.uint16, cv2.COLOR_GRAY2BGR),
    "16uc1": (1, np.uint16, cv2.COLOR_GRAY2BGR),
    "yuv422": (2, np.uint8, cv2.COLOR_YUV2BGR_UYVY),
    "yuv422_yuy2": (2, np.uint8, cv2.COLOR_YUV2BGR_YUY2),
    # OpenCV names a Bayer pattern by the second row's second and third pixel.
    "bayer_rggb8": (1, np.uint8, cv2.COLOR_BayerBG2BGR),
    "bayer_bggr8": (1, np.uint8, cv2.COLOR_BayerRG2BGR),
    "bayer_gbrg8": (1, np.uint8, cv2.COLOR_BayerGR2BGR),
    "bayer_grbg8": (1, np.uint8, cv2.COLOR_BayerGB2BGR),
}
"""Number of channels, dtype and OpenCV conversion by encoding (sensor_msgs/image_encodings.h)."""


class MessageDecoder:
    """Decodes the pictures of one topic, in their order."""

    def __init__(self, levels_16bit: LevelsOption) -> None:
        """levels_16bit: the 16-bit values that become 0 and 255; see BagSource."""
        self._levels = Levels(levels_16bit)
        self._codec: Any = None

    def picture(self, message: Any, kind: str) -> Image | None:
        """Return the picture of a message, uint8 (H, W, 3) BGR; None: it has none."""
        if kind == IMAGE:
            return self._raw(message)
        if kind == VIDEO:
            return self._video(message)
        found = decode_image(bytes(message.data))
        return None if isinstance(found, str) else self._bgr(found, None)

    def _raw(self, message: Any) -> Image | None:
        known = _ENCODINGS.get(str(message.encoding).lower())
        height, width, step = int(message.height), int(message.width), int(message.step)
        if known is None or not 0 < height * width <= MAX_PIXELS:
            return None
        channels, dtype, code = known
        row = width * channels * np.dtype(dtype).itemsize
        data = np.frombuffer(message.data, np.uint8)
        if step < row or len(data) < step * height:
            return None
        lines = np.ascontiguousarray(data[: step * height].reshape(height, step)[:, :row])
        order = np.dtype(dtype).newbyteorder(">" if message.is_bigendian else "<")
        shape = height, width, channels
        pixels: Any = lines.view(order).astype(dtype, copy=False).reshape(shape)
        return self._bgr(pixels if channels > 1 else pixels[:, :, 0], code)

    def _video(self, message: Any) -> Image | None:
        """Return the picture of a CompressedVideo message. Foxglove's schema: one per message."""
        name = _CODECS.get(str(message.format).lower())
        if name is None:
            return None
        if self._codec is None:
            self._codec = av.CodecContext.create(name, "r")
            self._codec.thread_count = 1
        pictures = self._codec.decode(av.Packet(bytes(message.data)))
        if not pictures or pictures[-1].width * pictures[-1].height > MAX_PIXELS:
            return None
        return np.asarray(pictures[-1].to_ndarray(format="bgr24"), np.uint8)

    def _bgr(self, pixels: Pixels, code: int | None) -> Image:
        levelled = self._levels.apply(pixels)
        if code is None and levelled.ndim == 2:
            code = cv2.COLOR_GRAY2BGR
        plain: NDArray[Any] = levelled if code is None else cv2.cvtColor(levelled, code)
        return np.asarray(plain, np.uint8)[:, :, :3]
