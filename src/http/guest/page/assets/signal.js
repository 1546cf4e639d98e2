// The WebSocket of one call: hello, frames, and another WebSocket when one is lost.

const PING_MS = 2000;
const PONG_MS = 2500;
const CONNECT_MS = 3000;
const RESUME_MS = 10000;
/** A network that swallows everything says nothing for minutes. */
const OPEN_MS = 10000;
/** From a question to the answer of a network that works. */
const PROBE_MS = 1500;
/** What a page hears that is open for longer than its token or its cookie lives. */
const OUTLIVED = ["token_expired", "bad_token", "no_cookie"];

/** Events: "token" when there is a newer one, "welcome" ({again}), "frame", "lost", "ended" with a cause when nothing more comes. */
export class Signal extends EventTarget {
  #token;
  #isHeard;
  #socket = null;
  #resume = null;
  #lostAt = 0;
  #heard = 0;
  #pinged = 0;
  #opened = 0;
  #timer = 0;
  #retry = 0;
  #isRenewed = false;
  #over = false;

  /** `isHeard` tells whether the other side is: then another WebSocket is worth more time. */
  constructor(token, isHeard) {
    super();
    this.#token = token;
    this.#isHeard = isHeard;
  }

  open() {
    clearTimeout(this.#retry);
    clearInterval(this.#timer);
    this.#timer = setInterval(() => this.#watch(), 1000);
    const address = new URL("/signal", location.href);
    address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(address);
    const before = this.#socket;
    this.#socket = socket;
    if (before) before.close(4000);
    let said = null;
    this.#pinged = 0;
    this.#opened = performance.now();
    socket.onopen = () => {
      this.#heard = performance.now();
      const first = this.#resume ? { type: "resume", token: this.#resume } : { type: "hello", token: this.#token };
      socket.send(JSON.stringify(first));
    };
    socket.onmessage = (event) => {
      if (socket !== this.#socket) return;
      this.#heard = performance.now();
      this.#pinged = 0;
      const frame = JSON.parse(event.data);
      // Of one frame: the call goes on without it.
      if (frame.type === "error" && !frame.frame) said = frame.code;
      if (frame.type === "welcome") {
        const again = this.#resume !== null;
        this.#resume = frame.resume;
        this.#lostAt = 0;
        this.#tell("welcome", { iceServers: frame.ice_servers, again });
      } else if (frame.type !== "pong") {
        if (frame.type === "ended") this.#over = true;
        this.#tell("frame", frame);
      }
    };
    socket.onclose = (event) => {
      if (socket === this.#socket) this.#closed(event.code, said);
    };
  }

  #closed(code, said) {
    this.#socket?.close();
    this.#socket = null;
    clearInterval(this.#timer);
    if (this.#over) return;
    if (OUTLIVED.includes(said) && !this.#resume && !this.#isRenewed) return void this.#renew();
    if (said || code === 1000 || code === 4001) return this.#end(said ?? (code === 4001 ? "elsewhere" : "failed"));
    if (!this.#resume) return this.#end("unreachable");
    if (!this.#lostAt) {
      this.#lostAt = performance.now();
      this.#tell("lost");
    }
    const gone = performance.now() - this.#lostAt;
    if (gone > RESUME_MS && !this.#isHeard()) return this.#end("lost");
    this.#retry = setTimeout(() => this.open(), Math.min(200 + gone / 3, 1500));
  }

  /** Loads the page once more, behind the one that is open, which keeps what its guest has typed, chosen and clicked. */
  async #renew() {
    this.#isRenewed = true;
    let [token, cause] = [null, "unreachable"];
    try {
      const page = await fetch(location.href, { cache: "no-store", signal: AbortSignal.timeout(OPEN_MS) });
      const html = await page.text();
      const said = (name) => new RegExp(` data-${name}="([\\w-]+)"`).exec(html)?.[1];
      token = said("token");
      // There is no call any more, and the page that says so has the word for it.
      cause = said("cause") ?? "failed";
    } catch {
      // The node is not reached.
    }
    if (this.#over) return;
    if (!token) return this.#end(cause);
    this.#token = token;
    this.#tell("token", token);
    this.open();
  }

  #watch() {
    const now = performance.now();
    if (!this.#resume) {
      if (now - this.#opened > OPEN_MS) this.#closed(1006, null);
    } else if (this.#lostAt) {
      if (now - this.#lostAt > RESUME_MS && !this.#isHeard()) this.#closed(1006, null);
      else if (now - this.#opened > CONNECT_MS) this.open();
    } else if (this.#pinged) {
      if (now - this.#pinged > PONG_MS) this.again();
    } else if (now - this.#heard > PING_MS && this.send({ type: "ping" })) this.#pinged = now;
  }

  /** The network has changed: the WebSocket may be dead without knowing it. */
  again() {
    if (this.#over || !this.#resume) return;
    if (this.#lostAt && performance.now() - this.#opened < CONNECT_MS && this.#socket) return;
    if (!this.#lostAt) {
      this.#lostAt = performance.now();
      this.#tell("lost");
    }
    this.open();
  }

  /** The network may have changed: asks, and takes another WebSocket only where no answer comes. */
  probe() {
    if (!this.send({ type: "ping" })) return;
    const [socket, heard] = [this.#socket, this.#heard];
    setTimeout(() => socket === this.#socket && heard === this.#heard && this.again(), PROBE_MS);
  }

  send(frame) {
    const isOpen = this.#socket?.readyState === WebSocket.OPEN && !this.#lostAt;
    if (isOpen) this.#socket.send(JSON.stringify(frame));
    return isOpen;
  }

  /** Nothing more is wanted. */
  close() {
    this.#over = true;
    clearTimeout(this.#retry);
    clearInterval(this.#timer);
    this.#socket?.close(1000);
  }

  #end(cause) {
    this.#over = true;
    this.#tell("ended", cause);
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
