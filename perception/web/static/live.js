// The live connection: one WebSocket for all cameras of the page.

import { PREFIX } from "./api.js";

const decoder = new TextDecoder();

/** Return header and data of a binary message (uint32 size, JSON, data). */
export function unpack(buffer) {
  const size = new DataView(buffer).getUint32(0, true);
  const header = JSON.parse(decoder.decode(new Uint8Array(buffer, 4, size)));
  return [header, new Uint8Array(buffer, 4 + size)];
}

/** The connection. It is opened with the first camera and again after it was lost. */
export class Live {
  constructor() {
    this.socket = null;
    this.watched = new Map(); // camera -> {as, take}
    this.onalert = () => {};
    this.onstate = () => {};
    this.wait = 250;
    this.ended = false;
    document.addEventListener("visibilitychange", () => this.changed());
  }

  /** Send a camera as "packets" or "jpeg" to take(header, data); data is null for tracks. */
  watch(camera, as, take) {
    this.watched.set(camera, { as, take });
    this.open();
    if (!document.hidden) this.send({ watch: camera, as });
  }

  unwatch(camera) {
    this.watched.delete(camera);
    this.send({ unwatch: camera });
  }

  /** A hidden page gets nothing and costs nothing; alerts still come. */
  changed() {
    for (const [camera, { as }] of this.watched) {
      this.send(document.hidden ? { unwatch: camera } : { watch: camera, as });
    }
  }

  send(message) {
    if (this.socket && this.socket.readyState === 1) this.socket.send(JSON.stringify(message));
  }

  open() {
    if (this.socket || this.ended) return;
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(`${scheme}://${location.host}${PREFIX}/live`);
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    socket.onopen = () => {
      this.wait = 250;
      this.onstate(true);
      this.changed();
    };
    socket.onmessage = (event) => this.take(event.data);
    socket.onclose = () => {
      this.socket = null;
      if (this.ended) return;
      this.onstate(false);
      setTimeout(() => this.open(), this.wait);
      this.wait = Math.min(this.wait * 2, 8000);
    };
  }

  take(data) {
    if (typeof data === "string") {
      const message = JSON.parse(data);
      if (message.kind === "alert") this.onalert(message.alert);
      else this.watched.get(message.camera)?.take(message, null);
      return;
    }
    const [header, payload] = unpack(data);
    this.watched.get(header.camera)?.take(header, payload);
  }

  close() {
    this.ended = true;
    this.socket?.close();
  }
}
