// Microphone, camera, speaker: what there is, what is chosen, how loud it is.

const SOUND = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };
const PICTURE = { width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 30, max: 30 } };

/** Errors of a device that is gone, or that another program has. */
const GONE = ["NotFoundError", "NotReadableError", "OverconstrainedError"];

export class Devices {
  /** Told a track that ends by itself: its device is gone. */
  onended = () => {};
  /** One question to the guest after the other; after `close` nobody waits for the answer. */
  #chain = Promise.resolve();
  #generation = 0;
  microphone = null;
  camera = null;
  chosen = { audioinput: "", audiooutput: "", videoinput: "" };

  /** Asks for the microphone, and for the camera where it is wanted; a missing camera is no failure. */
  open(withCamera) {
    return this.#run(() => this.#open(withCamera));
  }

  #run(act) {
    const done = this.#chain.then(act);
    this.#chain = done.catch(() => {});
    return done;
  }

  async #open(withCamera) {
    if (this.camera?.readyState !== "live") this.camera = null;
    const needs = { audio: this.microphone?.readyState !== "live", video: withCamera && !this.camera };
    if (needs.audio && needs.video) {
      try {
        return await this.#take(true, true);
      } catch (error) {
        if (!["NotFoundError", "NotReadableError", "NotAllowedError", "OverconstrainedError", "AbortError"].includes(error.name)) throw error;
      }
    }
    if (needs.audio) await this.#take(true, false);
    else if (needs.video) {
      try {
        await this.#take(false, true);
      } catch {
        // Without a camera there is sound.
      }
    }
  }

  #constraint(kind, others) {
    const chosen = this.chosen[kind];
    return chosen ? { ...others, deviceId: { exact: chosen } } : others;
  }

  async #take(audio, video) {
    const generation = this.#generation;
    const stream = await this.#ask(audio, video);
    for (const track of stream.getTracks()) {
      if (generation !== this.#generation) {
        track.stop();
        continue;
      }
      const kind = track.kind === "audio" ? "microphone" : "camera";
      const before = this[kind];
      if (before) {
        track.enabled = before.enabled;
        before.stop();
      }
      this[kind] = track;
      track.onended = () => this[kind] === track && this.onended(kind);
    }
  }

  /** A chosen device that is gone is chosen no longer. */
  async #ask(audio, video) {
    const ask = () => navigator.mediaDevices.getUserMedia({
      audio: audio && this.#constraint("audioinput", SOUND),
      video: video && this.#constraint("videoinput", PICTURE),
    });
    try {
      return await ask();
    } catch (error) {
      // Of two, nobody says which is gone: each is asked for alone then.
      const kind = audio ? "audioinput" : "videoinput";
      if ((audio && video) || !this.chosen[kind] || !GONE.includes(error.name)) throw error;
      this.chosen[kind] = "";
      return ask();
    }
  }

  stopCamera() {
    this.camera?.stop();
    this.camera = null;
  }

  close() {
    this.#generation += 1;
    this.#chain = Promise.resolve();
    this.microphone?.stop();
    this.microphone = null;
    this.stopCamera();
  }

  /** Devices by kind; labels are there once a permission was given. */
  async list() {
    const all = await navigator.mediaDevices.enumerateDevices();
    const kinds = { audioinput: [], audiooutput: [], videoinput: [] };
    for (const device of all) if (device.deviceId) kinds[device.kind]?.push(device);
    return kinds;
  }

  /** Another device of a kind; a track that is replaced ends. `chosen` tells whether it could be had. */
  choose(kind, id) {
    this.chosen[kind] = id;
    const isSound = kind === "audioinput";
    return this.#run(async () => {
      if (!isSound && (kind !== "videoinput" || !this.camera)) return;
      // Some machines open one of a kind at a time.
      (isSound ? this.microphone : this.camera)?.stop();
      try {
        await this.#take(isSound, !isSound);
      } catch (error) {
        if (!isSound) this.stopCamera();
        throw error;
      }
    });
  }

  /** The device of a track is gone: the one that the browser takes by itself. None may be left. */
  replace(kind) {
    const isSound = kind === "microphone";
    this.chosen[isSound ? "audioinput" : "videoinput"] = "";
    this[kind]?.stop();
    return this.#run(() => this.#take(isSound, !isSound)).catch(() => {
      if (!isSound) this.stopCamera();
    });
  }

  isLive(kind) {
    return this[kind]?.readyState === "live";
  }
}

/** Tells `show` the loudness of a track, 0 to 1, with each picture; returns what ends it. */
export function meter(context, track, show) {
  const source = context.createMediaStreamSource(new MediaStream([track]));
  const analyser = context.createAnalyser();
  analyser.fftSize = 512;
  source.connect(analyser);
  const samples = new Float32Array(analyser.fftSize);
  let level = 0;
  let frame = requestAnimationFrame(function look() {
    analyser.getFloatTimeDomainData(samples);
    const power = samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length;
    const loud = Math.min(1, Math.max(0, (20 * Math.log10(Math.sqrt(power) + 1e-5) + 60) / 50));
    level = Math.max(loud, level * 0.9);
    show(level);
    frame = requestAnimationFrame(look);
  });
  return () => {
    cancelAnimationFrame(frame);
    source.disconnect();
  };
}

/** Why a microphone was not given, as the page calls it. */
export function problemOf(error) {
  if (error.name === "NotFoundError" || error.name === "OverconstrainedError") return "none";
  if (error.name === "NotAllowedError" || error.name === "SecurityError") return "denied";
  return "in_use";
}
