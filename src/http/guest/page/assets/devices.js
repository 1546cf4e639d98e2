// Microphone, camera, speaker: what there is, what is chosen, how loud it is.

const SOUND = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };
const PICTURE = { width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 30, max: 30 } };

export class Devices {
  microphone = null;
  camera = null;
  chosen = { audioinput: "", audiooutput: "", videoinput: "" };

  /** Asks for the microphone, and for the camera where it is wanted; a missing camera is no failure. */
  async open(withCamera) {
    const audio = this.#constraint("audioinput", SOUND);
    if (this.microphone?.readyState !== "live") this.microphone = null;
    if (this.camera?.readyState !== "live") this.camera = null;
    const needs = { audio: !this.microphone && audio, video: withCamera && !this.camera && this.#constraint("videoinput", PICTURE) };
    if (needs.audio && needs.video) {
      try {
        return this.#take(await navigator.mediaDevices.getUserMedia(needs));
      } catch (error) {
        if (!["NotFoundError", "NotReadableError", "NotAllowedError", "OverconstrainedError", "AbortError"].includes(error.name)) throw error;
      }
    }
    if (needs.audio) this.#take(await navigator.mediaDevices.getUserMedia({ audio }));
    else if (needs.video) {
      try {
        this.#take(await navigator.mediaDevices.getUserMedia({ video: needs.video }));
      } catch {
        // Without a camera there is sound.
      }
    }
  }

  #constraint(kind, others) {
    const chosen = this.chosen[kind];
    return chosen ? { ...others, deviceId: { exact: chosen } } : others;
  }

  #take(stream) {
    for (const track of stream.getTracks()) {
      if (track.kind === "audio") this.microphone = track;
      else this.camera = track;
    }
  }

  stopCamera() {
    this.camera?.stop();
    this.camera = null;
  }

  close() {
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

  /** Another device of a kind; a track that is replaced ends. */
  async choose(kind, id) {
    this.chosen[kind] = id;
    if (kind === "audioinput") {
      const before = this.microphone;
      const enabled = before?.enabled ?? true;
      before?.stop();
      this.microphone = null;
      await this.open(false);
      this.microphone.enabled = enabled;
    } else if (kind === "videoinput" && this.camera) {
      this.stopCamera();
      await this.open(true);
    }
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
