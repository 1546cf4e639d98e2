// Runs in each document before its own scripts: keeps what a page would not show to a test, and answers the
// probes. A function expression; page.mjs gives it what this "browser" shall lack.
function ({ lacking }) {
  if (window.__probe) return;
  const connections = [];
  const captured = [];
  const asked = [];
  const states = [];
  const messages = [];

  for (const path of lacking) {
    const parts = path.split('.');
    const last = parts.pop();
    const owner = parts.reduce((object, part) => object?.[part], window);
    // Wherever it comes from: `in` shall not find it either.
    for (let object = owner; object; object = Object.getPrototypeOf(object)) delete object[last];
  }

  const Native = window.RTCPeerConnection;
  if (Native) {
    window.RTCPeerConnection = class RTCPeerConnection extends Native {
      constructor(...given) {
        super(...given);
        connections.push(this);
      }
    };
  }
  const devices = navigator.mediaDevices;
  if (devices?.getUserMedia) {
    const capture = devices.getUserMedia.bind(devices);
    // Suppression of noise takes a steady tone for noise, and is the browser's own matter.
    const unchanged = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
    devices.getUserMedia = async (constraints) => {
      const audio = await present('audioinput', constraints?.audio);
      const video = await present('videoinput', constraints?.video);
      const stream = await capture({
        ...constraints,
        ...(audio && { audio: { ...(audio === true ? {} : audio), ...unchanged } }),
        ...(video && { video }),
      });
      asked.push(constraints);
      captured.push(stream);
      return stream;
    };
  }

  // Devices that were pulled out: not listed, and given to nobody.
  const absent = new Set();
  if (devices?.enumerateDevices) {
    const list = devices.enumerateDevices.bind(devices);
    devices.enumerateDevices = async () => (await list()).filter(({ deviceId }) => !absent.has(deviceId));
  }

  async function present(kind, constraint) {
    if (!constraint || absent.size === 0) return constraint;
    const left = (await devices.enumerateDevices()).filter((device) => device.kind === kind);
    const exact = constraint.deviceId?.exact;
    if (left.length === 0) throw new DOMException('pulled out', 'NotFoundError');
    if (exact && absent.has(exact)) throw new DOMException('pulled out', 'OverconstrainedError');
    return exact ? constraint : { ...(constraint === true ? {} : constraint), deviceId: { exact: left[0].deviceId } };
  }

  // The device in use, or all of a kind (`audio`, `video`); or this one, which may be a speaker.
  async function unplug({ kind, all = false, device }) {
    if (device) absent.add(device);
    const tracks = captured.flatMap((stream) => stream.getTracks());
    const live = tracks.filter((track) => track.kind === kind && track.readyState === 'live');
    for (const track of live) absent.add(track.getSettings().deviceId);
    const listed = all ? await devices.enumerateDevices() : [];
    for (const device of listed) if (device.kind === `${kind}input`) absent.add(device.deviceId);
    for (const track of live) {
      track.stop();
      track.dispatchEvent(new Event('ended'));
    }
    devices.dispatchEvent(new Event('devicechange'));
  }

  function plug_in() {
    absent.clear();
    devices.dispatchEvent(new Event('devicechange'));
  }

  // What goes out, of which device.
  function senders() {
    const tracks = connections.flatMap((connection) => connection.getSenders().map(({ track }) => track));
    return tracks.filter(Boolean).map((track) => ({
      kind: track.kind, device: track.getSettings().deviceId ?? null, is_live: track.readyState === 'live', is_on: track.enabled,
    }));
  }

  // Tones that the page makes itself, in Hz.
  const made = [];
  const begin = window.OscillatorNode?.prototype.start;
  if (begin) {
    OscillatorNode.prototype.start = function (...when) {
      made.push(this.frequency.value);
      return begin.apply(this, when);
    };
  }

  document.addEventListener('securitypolicyviolation', (event) => {
    const { violatedDirective, blockedURI, sourceFile, lineNumber } = event;
    console.debug('__probe violation ' + JSON.stringify({ violatedDirective, blockedURI, sourceFile, lineNumber }));
  });
  window.addEventListener('message', ({ origin, data }) => messages.push({ origin, data }));

  // Each value of `data-state` of the page's root, with the milliseconds since the page began.
  const note = () => {
    const state = document.querySelector('[data-state]')?.dataset.state;
    if (state !== undefined && state !== states.at(-1)?.state) states.push({ state, at_ms: performance.now() });
  };
  new MutationObserver(note).observe(document, {
    subtree: true,
    childList: true,
    attributes: true,
    attributeFilter: ['data-state'],
  });

  const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

  // The stream of an element, which must be playing it; without a selector of the first element that plays
  // sound or, where the page plays by other means, of the newest track that a connection receives.
  function stream_of({ selector, from = 'element', kind = 'audio' }) {
    if (from === 'microphone') return { stream: captured.at(-1) };
    if (from === 'connection') return { stream: received(kind) };
    const elements = [...document.querySelectorAll(selector ?? 'audio, video')];
    const element = elements.find(({ srcObject }) => srcObject?.getTracks().some((track) => track.kind === kind));
    return { element, stream: element?.srcObject };
  }

  function received(kind) {
    const tracks = connections.flatMap((connection) => connection.getReceivers().map(({ track }) => track));
    const live = tracks.filter((track) => track?.kind === kind && track.readyState === 'live');
    return live.length > 0 ? new MediaStream([live.at(-1)]) : undefined;
  }

  // The loudest frequency and the level of a stream, in steps of 50 ms: `share` is how much of the energy lies
  // at that frequency.
  async function sound(options) {
    const { element, stream } = stream_of(options);
    const plays = element ? { paused: element.paused, muted: element.muted, volume: element.volume } : null;
    if (!stream || stream.getAudioTracks().length === 0) return { plays, samples: [] };
    const window_ms = options.window_ms ?? 600;
    return { plays, samples: (await listen(stream, window_ms)) ?? (await record(stream, window_ms)) };
  }

  let is_without_sound = false;

  const FFT_SIZE = 8192;

  async function listen(stream, window_ms) {
    if (is_without_sound) return null;
    const context = new AudioContext();
    try {
      is_without_sound = !(await Promise.race([context.resume().then(() => true), sleep(300)]));
      if (is_without_sound) return null;
      const analyser = context.createAnalyser();
      analyser.fftSize = FFT_SIZE;
      context.createMediaStreamSource(stream).connect(analyser);
      const wave = new Float32Array(FFT_SIZE);
      const samples = [];
      await sleep((1000 * FFT_SIZE) / context.sampleRate);
      const end = performance.now() + window_ms;
      while (performance.now() < end) {
        analyser.getFloatTimeDomainData(wave);
        samples.push(measure(wave, context.sampleRate));
        await sleep(50);
      }
      return samples;
    } finally {
      await context.close();
    }
  }

  // Firefox runs no AudioContext on a machine without sound; its recorder works there.
  async function record(stream, window_ms) {
    const recorder = new MediaRecorder(new MediaStream(stream.getAudioTracks()));
    const parts = [];
    recorder.ondataavailable = ({ data }) => parts.push(data);
    const stopped = new Promise((resolve) => {
      recorder.onstop = resolve;
    });
    recorder.start();
    await sleep(window_ms + 400);
    recorder.stop();
    await stopped;
    const rate = 48_000;
    const octets = await new Blob(parts).arrayBuffer();
    if (octets.byteLength === 0) return [];
    const decoded = await new OfflineAudioContext(1, 1, rate).decodeAudioData(octets);
    const wave = decoded.getChannelData(0);
    const samples = [];
    // What is recorded first is the beginning of the recorder.
    for (let at = rate / 5; at + FFT_SIZE <= wave.length; at += rate / 20) {
      samples.push(measure(wave.subarray(at, at + FFT_SIZE), rate));
    }
    return samples;
  }

  function measure(wave, rate) {
    const square = wave.reduce((sum, value) => sum + value * value, 0) / wave.length;
    const power = spectrum(wave);
    let peak = 0;
    power.forEach((value, bin) => {
      if (value > power[peak]) peak = bin;
    });
    const total = power.reduce((sum, value) => sum + value, 0);
    const near = power.slice(Math.max(0, peak - 4), peak + 5).reduce((sum, value) => sum + value, 0);
    return {
      hz: (peak * rate) / wave.length,
      level_db: square > 0 ? Math.max(-200, 10 * Math.log10(square)) : -200,
      share: total > 1e-12 ? near / total : 0,
    };
  }

  // Power of each frequency, under a window of Hann.
  function spectrum(wave) {
    const size = wave.length;
    const real = Float64Array.from(wave, (value, at) => value * (0.5 - 0.5 * Math.cos((2 * Math.PI * at) / size)));
    const imaginary = new Float64Array(size);
    for (let at = 1, mirror = 0; at < size; at += 1) {
      let bit = size >> 1;
      for (; mirror & bit; bit >>= 1) mirror ^= bit;
      mirror ^= bit;
      if (at < mirror) [real[at], real[mirror]] = [real[mirror], real[at]];
    }
    for (let half = 1; half < size; half *= 2) {
      for (let step = 0; step < half; step += 1) {
        const cosine = Math.cos((-Math.PI * step) / half);
        const sine = Math.sin((-Math.PI * step) / half);
        for (let low = step; low < size; low += 2 * half) {
          const high = low + half;
          const x = real[high] * cosine - imaginary[high] * sine;
          const y = real[high] * sine + imaginary[high] * cosine;
          real[high] = real[low] - x;
          imaginary[high] = imaginary[low] - y;
          real[low] += x;
          imaginary[low] += y;
        }
      }
    }
    return Float64Array.from({ length: size / 2 }, (_, bin) => real[bin] ** 2 + imaginary[bin] ** 2);
  }

  // What an element of video shows: its size, how bright, how varied, and whether it moves.
  async function picture(options) {
    const { element } = stream_of({ ...options, kind: 'video' });
    if (!element) return null;
    const canvas = document.createElement('canvas');
    canvas.width = 64;
    canvas.height = 48;
    const paper = canvas.getContext('2d', { willReadFrequently: true });
    const look = () => {
      paper.drawImage(element, 0, 0, canvas.width, canvas.height);
      const { data } = paper.getImageData(0, 0, canvas.width, canvas.height);
      return Array.from({ length: data.length / 4 }, (_, at) => (data[4 * at] + data[4 * at + 1] + data[4 * at + 2]) / 3);
    };
    const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
    const first = look();
    await sleep(options.window_ms ?? 500);
    const second = look();
    const bright = mean(second);
    return {
      width: element.videoWidth,
      height: element.videoHeight,
      brightness: bright,
      spread: Math.sqrt(mean(second.map((value) => (value - bright) ** 2))),
      motion: mean(second.map((value, at) => Math.abs(value - first[at]))),
    };
  }

  // getStats of each connection, in the words of a test.
  async function statistics() {
    return Promise.all(connections.map(summary));
  }

  async function summary(connection) {
    const rows = [...(await connection.getStats()).values()];
    const by_id = new Map(rows.map((row) => [row.id, row]));
    const of = (type) => rows.filter((row) => row.type === type);
    const transport = of('transport')[0] ?? {};
    const chosen =
      by_id.get(transport.selectedCandidatePairId) ??
      of('candidate-pair').find((pair) => pair.nominated && pair.state === 'succeeded');
    const candidate = (id) => {
      const found = by_id.get(id);
      return found && { type: found.candidateType, protocol: found.protocol, relay: found.relayProtocol ?? null,
        address: found.address ?? found.ip ?? null, port: found.port ?? null };
    };
    const stream = (row) => {
      const codec = by_id.get(row.codecId);
      return {
        kind: row.kind, mid: row.mid ?? null, ssrc: row.ssrc, codec: codec?.mimeType ?? null,
        payload_type: codec?.payloadType ?? null, parameters: codec?.sdpFmtpLine ?? null,
        packets: row.packetsReceived ?? row.packetsSent ?? 0, octets: row.bytesReceived ?? row.bytesSent ?? 0,
        lost: row.packetsLost ?? null, concealed: row.concealedSamples ?? null,
        frames_decoded: row.framesDecoded ?? null, frames_encoded: row.framesEncoded ?? null,
        keyframes: row.keyFramesDecoded ?? row.keyFramesEncoded ?? null,
        width: row.frameWidth ?? null, height: row.frameHeight ?? null, rate: row.framesPerSecond ?? null,
        retransmitted: row.retransmittedPacketsSent ?? row.retransmittedPacketsReceived ?? null,
        target_bitrate: row.targetBitrate ?? null,
        nacks: row.nackCount ?? null, picture_losses: row.pliCount ?? null, full_intras: row.firCount ?? null,
      };
    };
    return {
      connection: connection.connectionState, ice: connection.iceConnectionState, signalling: connection.signalingState,
      directions: connection.getTransceivers().map(({ mid, currentDirection }) => ({ mid, direction: currentDirection })),
      dtls: { state: transport.dtlsState ?? null, version: transport.tlsVersion ?? null,
        cipher: transport.dtlsCipher ?? null, srtp: transport.srtpCipher ?? null, role: transport.dtlsRole ?? null },
      pair: chosen ? { local: candidate(chosen.localCandidateId), remote: candidate(chosen.remoteCandidateId),
        round_trip_s: chosen.currentRoundTripTime ?? null, changes: transport.selectedCandidatePairChanges ?? null } : null,
      received: of('inbound-rtp').map(stream),
      sent: of('outbound-rtp').map(stream),
      reported: of('remote-inbound-rtp').map((row) => ({ kind: row.kind, lost: row.packetsLost ?? null,
        fraction_lost: row.fractionLost ?? null, round_trip_s: row.roundTripTime ?? null })),
    };
  }

  // A new set of ICE credentials, as a change of the network makes one.
  function restart_ice() {
    connections.at(-1)?.restartIce();
  }

  // The camera goes out, whatever the page thinks of that.
  async function send_camera() {
    const video = connections.at(-1).getTransceivers().find(({ receiver }) => receiver.track.kind === 'video');
    const stream = await navigator.mediaDevices.getUserMedia({ video: true });
    await video.sender.replaceTrack(stream.getVideoTracks()[0]);
  }

  window.__probe = {
    states, sound, picture, statistics, restart_ice, send_camera, unplug, plug_in, senders,
    history: () => states,
    tones_made: () => made,
    heard_messages: () => messages,
    constraints: () => asked,
    descriptions: () => connections.map(({ localDescription, remoteDescription }) => ({
      local: localDescription?.sdp ?? null, remote: remoteDescription?.sdp ?? null })),
  };
}
