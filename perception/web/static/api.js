// The API: JSON in and out, problems as errors.

export const PREFIX = "/api/v1";

/** What the server says is wrong. status: of HTTP; 0: no connection. */
export class Problem extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

/** Return the answer of a route as JSON; null where it has none. Throws Problem. */
export async function call(method, path, body) {
  const headers = { "x-perception": "1" };
  if (body !== undefined) headers["content-type"] = "application/json";
  let answer;
  try {
    answer = await fetch(PREFIX + path, {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch {
    throw new Problem(0, "no connection to this page's server");
  }
  if (answer.status === 204) return null;
  let data = null;
  try {
    data = await answer.json();
  } catch {
    throw new Problem(answer.status, `the server answers ${answer.status}`);
  }
  if (answer.ok) return data;
  if (answer.status === 401 && !path.startsWith("/account")) {
    window.dispatchEvent(new Event("logged-out"));
  }
  const more = (data.errors || []).map((one) => one.what).join("; ");
  throw new Problem(answer.status, more || data.detail || `the server answers ${answer.status}`);
}

export const get = (path) => call("GET", path);
export const post = (path, body) => call("POST", path, body);
export const put = (path, body) => call("PUT", path, body);
export const remove = (path) => call("DELETE", path);

/** Return a path with a query of what is not null. */
export function query(path, values) {
  const given = Object.entries(values).filter(([, value]) => value !== null && value !== undefined);
  return given.length ? `${path}?${new URLSearchParams(given)}` : path;
}
