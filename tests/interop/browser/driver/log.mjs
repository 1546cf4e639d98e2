// What a page said and fetched: errors of the console, violations of its content security policy, requests
// with their sizes, those that failed or went to somebody else, frames of its WebSockets.

const LINES_MAX = 500;
const FRAME_LENGTH_MAX = 4_000;
const MARK = '__probe violation ';

export class Log {
  constructor(page) {
    this.page = page;
    this.lines = [];
    this.violations = [];
    this.requests = new Map();
    this.sockets = new Map();
  }

  async begin(url, cdp) {
    this.origin = new URL(url).origin;
    const { page } = this;
    page.on('console', (message) => this.hear(message));
    page.on('pageerror', (error) => keep(this.lines, { type: 'exception', text: String(error?.stack ?? error) }));
    page.on('request', (request) => this.requests.set(request, { url: request.url(), kind: cdp ? request.resourceType() : null }));
    page.on('response', (response) => {
      const entry = this.requests.get(response.request());
      if (entry) entry.status = response.status();
    });
    page.on('requestfailed', (request) => {
      const entry = this.requests.get(request);
      if (entry) entry.error = request.failure()?.errorText ?? 'failed';
    });
    if (cdp) await this.measure(cdp);
  }

  // Chromium only: octets on the wire, and WebSockets.
  async measure(cdp) {
    this.transferred = 0;
    cdp.on('Network.loadingFinished', ({ encodedDataLength }) => {
      this.transferred += encodedDataLength;
    });
    cdp.on('Network.webSocketCreated', ({ requestId, url }) => {
      this.sockets.set(requestId, { url, sent: [], received: [], closed: false });
    });
    const frame = (list) => ({ requestId, response }) => {
      const socket = this.sockets.get(requestId);
      if (socket) keep(socket[list], response.payloadData.slice(0, FRAME_LENGTH_MAX));
    };
    cdp.on('Network.webSocketFrameSent', frame('sent'));
    cdp.on('Network.webSocketFrameReceived', frame('received'));
    cdp.on('Network.webSocketClosed', ({ requestId }) => {
      const socket = this.sockets.get(requestId);
      if (socket) socket.closed = true;
    });
    await cdp.send('Network.enable');
  }

  hear(message) {
    const text = message.text();
    if (text.startsWith(MARK)) keep(this.violations, JSON.parse(text.slice(MARK.length)));
    else if (['error', 'warn', 'warning', 'assert'].includes(message.type())) {
      keep(this.lines, { type: message.type(), text, url: message.location()?.url ?? null });
    }
  }

  isForeign({ url }) {
    const { protocol, origin, host } = new URL(url);
    if (['data:', 'blob:', 'about:'].includes(protocol)) return false;
    return origin !== this.origin && !(protocol.startsWith('ws') && host === new URL(this.origin).host);
  }

  read() {
    const requests = [...this.requests.values()];
    const sockets = [...this.sockets.values()];
    return {
      console: this.lines,
      violations: this.violations,
      requests,
      failed: once(requests.filter(({ error, status }) => error || status >= 400)),
      foreign: once([...requests, ...sockets].filter((entry) => this.isForeign(entry))),
      transferred: this.transferred ?? null,
    };
  }

  frames() {
    return [...this.sockets.values()];
  }
}

// Each URL once: what Firefox fetched in advance, it may fetch again.
function once(entries) {
  return [...new Map(entries.map(({ url, kind, status, error }) => [url, { url, kind, status, error }])).values()];
}

function keep(list, item) {
  if (list.length < LINES_MAX) list.push(item);
}
