// Boxes for a picture: of its own frame, moved on by their velocity, or between two frames.

const KEEP = 90;

/** The last tracks of a camera. */
export class Tracks {
  constructor() {
    this.messages = []; // by rising t
  }

  add(message) {
    const last = this.messages.at(-1);
    if (last && message.t < last.t) this.messages = [];
    this.messages.push(message);
    if (this.messages.length > KEEP) this.messages.shift();
  }

  get newest() {
    return this.messages.at(-1) || null;
  }

  /** Whether tracks of a frame at t, or of a later one, have come. */
  reaches(t) {
    return this.messages.length > 0 && this.messages.at(-1).t >= t;
  }

  /** Return {exact, rows}: the boxes of a picture at t. exact: they are of this very frame. */
  at(t) {
    let before = null;
    let after = null;
    for (let i = this.messages.length - 1; i >= 0; i--) {
      const message = this.messages[i];
      if (message.t === t) return { exact: true, rows: message.tracks };
      if (message.t < t) {
        before = message;
        break;
      }
      after = message;
    }
    if (before && after) return { exact: false, rows: between(before, after, t) };
    if (before) return { exact: false, rows: moved(before, t) };
    return { exact: false, rows: [] };
  }
}

function between(before, after, t) {
  const share = (t - before.t) / (after.t - before.t);
  const later = new Map(after.tracks.map((track) => [track.id, track]));
  return before.tracks.flatMap((track) => {
    const end = later.get(track.id);
    if (!end) return [];
    const box = track.box.map((value, i) => value + (end.box[i] - value) * share);
    return [{ ...track, box }];
  });
}

function moved(before, t) {
  const seconds = Math.min((t - before.t) / 1e6, 0.5);
  if (seconds > 0.45) return [];
  return before.tracks.map((track) => {
    const [dx, dy] = track.velocity.map((v) => v * seconds);
    const [x1, y1, x2, y2] = track.box;
    return { ...track, box: [x1 + dx, y1 + dy, x2 + dx, y2 + dy] };
  });
}

/** Return what is written at a track. */
export function label(track) {
  const number = track.id.split("-").pop();
  const name = track.who && track.who !== "unknown" ? track.who : `${track.class} ${number}`;
  const parts = [track.who === "unknown" ? `${name}, unknown` : name];
  if (track.ahead_m !== undefined) parts.push(`${track.ahead_m.toFixed(0)} m`);
  if (track.ttc_s !== undefined && track.ttc_s < 10) parts.push(`${track.ttc_s.toFixed(1)} s`);
  return parts.join(" · ");
}
