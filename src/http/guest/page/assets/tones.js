// Tones of a telephone, made here: ringback, keys, the end.

const ROWS = [697, 770, 852, 941];
const COLUMNS = [1209, 1336, 1477];
const PAD = "123456789*0#";

export class Tones {
  #context = null;
  #ringing = null;

  get context() {
    this.#context ??= new AudioContext();
    if (this.#context.state === "suspended") this.#context.resume().catch(() => {});
    return this.#context;
  }

  /** One second on, four off, as long as it rings. */
  ring() {
    if (this.#ringing) return;
    const burst = () => this.#play([425], 1, 0.12);
    burst();
    this.#ringing = setInterval(burst, 5000);
  }

  hush() {
    clearInterval(this.#ringing);
    this.#ringing = null;
  }

  key(key) {
    const place = PAD.indexOf(key);
    if (place >= 0) this.#play([ROWS[Math.floor(place / 3)], COLUMNS[place % 3]], 0.12, 0.08);
  }

  over() {
    this.#play([480], 0.12, 0.08);
    this.#play([380], 0.16, 0.08, 0.16);
  }

  #play(frequencies, seconds, volume, after = 0) {
    const context = this.context;
    const start = context.currentTime + after;
    const gain = context.createGain();
    gain.connect(context.destination);
    gain.gain.setValueAtTime(0, start);
    gain.gain.linearRampToValueAtTime(volume, start + 0.01);
    gain.gain.setValueAtTime(volume, start + seconds - 0.02);
    gain.gain.linearRampToValueAtTime(0, start + seconds);
    for (const frequency of frequencies) {
      const oscillator = context.createOscillator();
      oscillator.frequency.value = frequency;
      oscillator.connect(gain);
      oscillator.start(start);
      oscillator.stop(start + seconds);
    }
  }
}
