// Three ways to show a camera, best first. Each shows pictures by show(picture, t): t is the media
// time in us, the same as in the messages of tracks. fail(reason) says that it cannot go on.

import { configOf, sampleOf } from "./mp4.js";

const MAX_QUEUE = 600; // a viewer begins with all pictures since the last key frame

/** WebCodecs: the packets as they came, decoded here. Only in a secure context (https, localhost). */
export class WebCodecs {
  static title = "WebCodecs";
  static feed = "packets";

  static why() {
    if (!window.isSecureContext) return "no secure context (https or localhost)";
    return "VideoDecoder" in window ? "" : "no VideoDecoder in this browser";
  }

  constructor(show, fail) {
    Object.assign(this, { show, fail, stream: null, decoder: null, needKey: true, errors: 0 });
  }

  packet(head, data) {
    if (head.key && head.header && head.stream !== this.stream) this.configure(head, data);
    if (!this.decoder || this.decoder.state !== "configured") return;
    if (this.needKey && !head.key) return;
    if (this.decoder.decodeQueueSize > MAX_QUEUE && !head.key) {
      this.needKey = true;
      return;
    }
    this.needKey = false;
    const sample = sampleOf(data.subarray(head.header));
    if (!sample) return;
    const type = head.key ? "key" : "delta";
    try {
      this.decoder.decode(new EncodedVideoChunk({ type, timestamp: head.t, data: sample }));
    } catch (error) {
      this.broken(error);
    }
  }

  configure(head, data) {
    const config = configOf(data.subarray(0, head.header));
    if (!config) return this.fail(`codec ${head.codec}`);
    this.stream = head.stream;
    this.close();
    this.decoder = new VideoDecoder({
      output: (frame) => this.show(frame, frame.timestamp),
      error: (error) => this.broken(error),
    });
    try {
      this.decoder.configure({
        ...config,
        codedWidth: head.width,
        codedHeight: head.height,
        optimizeForLatency: true,
      });
    } catch (error) {
      this.fail(`codec ${config.codec}: ${error.message}`);
    }
    this.needKey = true;
  }

  /** A picture that cannot be decoded: begin again at the next key frame, the third time give up. */
  broken(error) {
    this.stream = null;
    this.close();
    this.errors += 1;
    if (this.errors > 2) this.fail(error.message);
  }

  close() {
    if (this.decoder && this.decoder.state !== "closed") this.decoder.close();
    this.decoder = null;
  }
}

/** Media Source Extensions: the packets into a video element. Also over plain http; later by 0.2 s. */
export class MediaSourceWay {
  static title = "MSE";
  static feed = "packets";

  static why() {
    return window.ManagedMediaSource || window.MediaSource ? "" : "no MediaSource in this browser";
  }

  constructor(show, fail, video) {
    Object.assign(this, { show, fail, video, stream: null, buffer: null, queue: [], offset: 0 });
    this.closed = false;
    const next = (now, metadata) => {
      if (this.closed) return;
      this.show(this.video, Math.round(metadata.mediaTime * 1e6 + this.offset));
      this.video.requestVideoFrameCallback(next);
    };
    video.requestVideoFrameCallback(next);
  }

  packet(head, data) {
    this.offset = head.t - head.pts * 1e6;
    if (head.key && head.header && head.stream !== this.stream) {
      this.open(head, data.subarray(0, head.header));
    }
    if (this.stream === null) return;
    this.queue.push(data.slice(head.key ? head.header : 0));
    this.append();
  }

  open(head, header) {
    const config = configOf(header);
    const type = `video/mp4; codecs="${config ? config.codec : head.codec}"`;
    const Source = window.ManagedMediaSource || window.MediaSource;
    if (!Source.isTypeSupported(type)) return this.fail(`codec ${config ? config.codec : head.codec}`);
    this.stream = head.stream;
    this.buffer = null;
    this.queue = [header.slice()];
    const source = new Source();
    this.video.disableRemotePlayback = true;
    this.video.src = URL.createObjectURL(source);
    source.addEventListener("sourceopen", () => {
      URL.revokeObjectURL(this.video.src);
      this.buffer = source.addSourceBuffer(type);
      this.buffer.addEventListener("updateend", () => this.append());
      this.append();
    }, { once: true });
    this.video.onerror = () => this.fail(this.video.error?.message || "the video element failed");
  }

  append() {
    if (!this.buffer || this.buffer.updating) return;
    this.follow();
    if (this.buffer.updating || !this.queue.length) return;
    const size = this.queue.reduce((sum, part) => sum + part.length, 0);
    const all = new Uint8Array(size);
    let at = 0;
    for (const part of this.queue) {
      all.set(part, at);
      at += part.length;
    }
    this.queue = [];
    try {
      this.buffer.appendBuffer(all);
    } catch (error) {
      this.fail(error.message);
    }
  }

  /** Stay near the end of what is there; remove what was shown 10 s ago. */
  follow() {
    const { buffered } = this.buffer;
    if (!buffered.length) return;
    const end = buffered.end(buffered.length - 1);
    const start = buffered.start(0);
    const behind = end - this.video.currentTime;
    if (behind > 0.6 || behind < 0 || this.video.currentTime < start) {
      this.video.currentTime = Math.max(buffered.start(buffered.length - 1), end - 0.05);
    }
    if (this.video.paused) this.video.play().catch(() => {});
    this.video.playbackRate = behind > 0.3 ? 1.1 : 1;
    if (end - start > 20) this.buffer.remove(start, end - 10);
  }

  close() {
    this.closed = true;
    this.video.removeAttribute("src");
    this.video.load();
  }
}

/** JPEGs that the server makes: everywhere, at 10 a second at most. */
export class Jpegs {
  static title = "JPEG";
  static feed = "jpeg";
  static why() {
    return "";
  }

  constructor(show) {
    Object.assign(this, { show, busy: false });
  }

  async jpeg(head, data) {
    if (this.busy) return;
    this.busy = true;
    try {
      this.show(await createImageBitmap(new Blob([data], { type: "image/jpeg" })), head.t);
    } finally {
      this.busy = false;
    }
  }

  close() {}
}

export const WAYS = [WebCodecs, MediaSourceWay, Jpegs];
