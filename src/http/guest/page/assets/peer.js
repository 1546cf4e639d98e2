// The browser's side of the media: one connection, one bundle, offers from us only.

/** A way that is there is found in a second or two; who waits much longer is told why. */
const FOUND_MS = 8000;

/** Events: "offer" ({sdp, first}), "track", "broken" when no way is left, "up" when there is one, "late" when none was found for long. */
export class Peer extends EventTarget {
  #connection;
  #audio;
  #video = null;
  #waiting = false;
  #first = true;
  #broken = 0;
  #late = 0;
  #wasUp = false;
  #chain = Promise.resolve();

  constructor(iceServers, policy, audio, video) {
    super();
    this.#connection = new RTCPeerConnection({ bundlePolicy: "max-bundle", rtcpMuxPolicy: "require", iceServers });
    const stream = new MediaStream([audio, video].filter(Boolean));
    this.#audio = this.#connection.addTransceiver(audio, { direction: "sendrecv", streams: [stream] });
    if (policy !== "inactive") {
      const direction = policy === "recvonly" ? "recvonly" : "sendrecv";
      this.#video = this.#connection.addTransceiver(video ?? "video", { direction, streams: [stream] });
    }
    this.#connection.ontrack = (event) => this.#tell("track", event.track);
    this.#connection.onconnectionstatechange = () => this.#changed();
  }

  #changed() {
    const state = this.#connection.connectionState;
    clearTimeout(this.#broken);
    if (state === "connected") {
      this.#wasUp = true;
      clearTimeout(this.#late);
      this.#tell("up");
    }
    if (state === "failed") this.#tell("broken");
    if (state === "disconnected") this.#broken = setTimeout(() => this.#tell("broken"), 2000);
  }

  /** One operation after the other: each looks at a state that the one before would change. */
  #run(act) {
    const done = this.#chain.then(() => (this.#connection.signalingState === "closed" ? undefined : act()));
    this.#chain = done.catch(() => {});
    return done;
  }

  /** Makes an offer; one that is out is waited for. */
  offer() {
    return this.#run(() => this.#offer());
  }

  async #offer() {
    if (this.#connection.signalingState !== "stable") {
      this.#waiting = true;
      return;
    }
    await this.#connection.setLocalDescription(await this.#connection.createOffer());
    const { sdp } = this.#connection.localDescription;
    this.#tell("offer", { sdp, first: this.#first });
    this.#first = false;
  }

  answer(sdp) {
    return this.#run(async () => {
      if (this.#connection.signalingState !== "have-local-offer") return;
      await this.#connection.setRemoteDescription({ type: "answer", sdp });
      this.#late ||= setTimeout(() => this.#wasUp || this.#tell("late"), FOUND_MS);
      await this.#next();
    });
  }

  /** The offer was refused: what held before holds. */
  refused() {
    return this.#run(async () => {
      await this.#rollback();
      await this.#next();
    });
  }

  /** Another way to the same place: after a change of network, or of the WebSocket (then with servers). */
  restart(iceServers) {
    return this.#run(async () => {
      if (iceServers) {
        this.#connection.setConfiguration({ ...this.#connection.getConfiguration(), iceServers });
        // Its answer may be lost. By the same WebSocket it comes, and is waited for.
        await this.#rollback();
        this.#waiting = false;
      }
      this.#connection.restartIce();
      await this.#offer();
    });
  }

  async #rollback() {
    if (this.#connection.signalingState === "have-local-offer") {
      await this.#connection.setLocalDescription({ type: "rollback" });
    }
  }

  async #next() {
    if (!this.#waiting) return;
    this.#waiting = false;
    await this.#offer();
  }

  setMicrophone(track) {
    return this.#audio.sender.replaceTrack(track);
  }

  setCamera(track) {
    return this.#video?.sender.replaceTrack(track);
  }

  /** A key as events of the stream (RFC 4733). False: this browser or the other side knows none. */
  dial(key) {
    const { dtmf } = this.#audio.sender;
    if (!dtmf?.canInsertDTMF) return false;
    // What still waits would be forgotten.
    dtmf.insertDTMF(dtmf.toneBuffer + key, 160, 70);
    return true;
  }

  get hasVideo() {
    return this.#video !== null;
  }

  /** Whether it may go by relays, whose credentials live for a while. */
  get hasRelays() {
    return this.#connection.getConfiguration().iceServers.length > 0;
  }

  /** Whether there ever was a way. */
  get wasUp() {
    return this.#wasUp;
  }

  get isUp() {
    return this.#connection.connectionState === "connected";
  }

  stats() {
    return this.#connection.getStats();
  }

  close() {
    clearTimeout(this.#broken);
    clearTimeout(this.#late);
    this.#connection.onconnectionstatechange = null;
    this.#connection.close();
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
