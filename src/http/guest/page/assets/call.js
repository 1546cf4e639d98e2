// The guest page: what is shown, what is pressed, and how a call goes from one state to the next.
import { Devices, meter, problemOf } from "./devices.js";
import { Peer } from "./peer.js";
import { watchQuality } from "./quality.js";
import { reasonOf } from "./reasons.js";
import { Signal } from "./signal.js";
import { Tones } from "./tones.js";

const app = document.getElementById("app");
const element = (id) => document.getElementById(id);
const texts = JSON.parse(app.dataset.texts);
const origins = JSON.parse(app.dataset.embed);
const policy = app.dataset.policy;
const name = element("callee").textContent;
const devices = new Devices();
const tones = new Tones();
const mayShow = policy === "sendrecv" || policy === "recvonly_initially";
const isNamed = !element("name-field").hidden;
const mayChooseSpeaker = "setSinkId" in HTMLMediaElement.prototype;
const language = document.documentElement.lang;
const isFramed = window.parent !== window;
/** Whether the page around this one lets it have a device; browsers that say nothing find out when they ask. */
const isLent = (feature) => (document.permissionsPolicy ?? document.featurePolicy)?.allowsFeature(feature) ?? true;

/** The call under way. */
let call = null;
let wantsCamera = policy === "sendrecv" && isLent("camera");
let endMeter = null;
let countdown = 0;
let wakeLock = null;

function text(key, values = {}) {
  return texts[key].replace(/\{(\w+)\}/g, (_whole, word) => values[word] ?? "");
}

function show(id, isShown) {
  element(id).hidden = !isShown;
}

/** Changes what is not the same already: a screen reader says each change. */
function say(key, values) {
  const said = text(key, values);
  if (element("status").textContent !== said) element("status").textContent = said;
}

function enter(state, cause) {
  app.dataset.state = state;
  if (cause) app.dataset.cause = cause;
  else delete app.dataset.cause;
  const isCalling = ["calling", "ringing", "connected", "held", "reconnecting"].includes(state);
  show("setup", !isCalling);
  show("controls", isCalling);
  const beside = element(isCalling ? "controls" : "choices");
  if (beside.nextElementSibling !== element("devices")) {
    toggleDevices(false);
    beside.after(element("devices"));
  }
  if (!isCalling) toggleKeypad(false);
  document.title = state === "idle" ? text("title", { name }) : `${element("status").textContent} – ${name}`;
  tell({ event: "state", state, ...(cause && { cause }) });
}

/** Tells the page around this one, and no other. */
function tell(message) {
  if (app.dataset.widget !== "true" || window.parent === window) return;
  const around = location.ancestorOrigins?.[0];
  const told = around ? origins.filter((origin) => origin === around) : origins;
  for (const origin of told) window.parent.postMessage({ source: "sluice", ...message }, origin);
}

// Before the call.

async function granted(kind) {
  try {
    return (await navigator.permissions.query({ name: kind })).state;
  } catch {
    return "unknown";
  }
}

async function begin() {
  document.title = text("title", { name });
  if (!window.isSecureContext) return problem("insecure", false);
  if (isFramed && !isLent("microphone")) return problem("framed", false);
  if (!window.RTCPeerConnection || !navigator.mediaDevices?.getUserMedia) return problem("old", false);
  const seconds = app.dataset.auto === "" ? null : Number(app.dataset.auto);
  const microphone = await granted("microphone");
  if (microphone === "granted" && wantsCamera && (await granted("camera")) === "prompt" && seconds === null) wantsCamera = false;
  const isAsked = microphone === "granted" || seconds !== null;
  if (!isAsked) {
    show("check", true);
    return showDevices();
  }
  if (!(await prepare())) return;
  if (seconds !== null) startCountdown(seconds);
}

/** Opens the devices and shows them. False: there is no microphone, and the page says why. */
async function prepare() {
  try {
    if (!devices.microphone) say("preparing");
    await devices.open(wantsCamera && mayShow);
  } catch (error) {
    problem(problemOf(error), true);
    return false;
  }
  show("problem", false);
  show("check", false);
  offerAlone(false);
  if (!countdown) show("note", false);
  label("call");
  if (!call) {
    if (app.dataset.state !== "ended") say("ready");
    startMeter();
    await showDevices().catch(() => {});
  }
  return true;
}

/** What the large button says; the seconds beside it are no part of its name. */
function label(key, seconds = "") {
  element("call-label").textContent = text(key);
  element("call-seconds").textContent = seconds;
}

/** A way out of a frame that lacks something. */
function offerAlone(isOffered) {
  const alone = new URL(location.href);
  alone.searchParams.delete("widget");
  element("alone").href = alone;
  show("alone", isFramed && isOffered);
}

function mayCall(isPossible) {
  show("call", isPossible);
  show("name-field", isPossible && isNamed);
}

function problem(kind, mayRetry) {
  if (countdown) endCountdown();
  element("problem-title").textContent = text(`${kind}_title`);
  element("problem-text").textContent = text(`${kind}_text`);
  show("problem", true);
  show("preview", false);
  show("meter", false);
  show("check", false);
  show("note", false);
  show("camera-toggle", false);
  show("devices-toggle", false);
  toggleDevices(false);
  mayCall(mayRetry);
  offerAlone(["framed", "denied", "insecure"].includes(kind));
  if (mayRetry) label("retry");
  element("status").textContent = "";
  enter("idle", kind);
}

function startMeter() {
  endMeter?.();
  const level = element("level");
  try {
    endMeter = meter(tones.context, devices.microphone, (loudness) => {
      level.style.transform = `scaleX(${loudness.toFixed(3)})`;
    });
    show("meter", true);
  } catch {
    // Not every browser measures every microphone; calls need no bar.
    stopMeter();
  }
}

function stopMeter() {
  endMeter?.();
  endMeter = null;
  show("meter", false);
}

function showCamera() {
  const isOn = Boolean(devices.camera);
  const stream = isOn ? new MediaStream([devices.camera]) : null;
  element("camera-preview").srcObject = call ? null : stream;
  element("self").srcObject = call ? stream : null;
  show("camera-preview", isOn && !call);
  show("camera-off", !isOn);
  show("self", isOn && Boolean(call) && !call.noVideo);
  for (const id of ["camera-toggle", "video"]) element(id).setAttribute("aria-pressed", String(isOn));
  showStage();
}

async function showDevices() {
  const kinds = await devices.list();
  const isOpen = Boolean(devices.microphone);
  const mayBeSeen = mayShow && kinds.videoinput.length > 0 && isLent("camera");
  fill("microphone", kinds.audioinput, "audioinput");
  fill("speaker", kinds.audiooutput, "audiooutput");
  fill("camera", kinds.videoinput, "videoinput");
  show("speaker-field", mayChooseSpeaker && kinds.audiooutput.length > 0);
  show("camera-field", mayBeSeen && !call?.noVideo);
  if (!call) {
    show("devices-toggle", isOpen);
    show("camera-toggle", isOpen && mayBeSeen);
    show("preview", isOpen && mayBeSeen);
    if (isOpen) offerAlone(mayShow && !isLent("camera"));
  }
  showCamera();
}

function fill(id, found, kind) {
  const options = found.map((device, index) => {
    const label = device.label || text(device.deviceId === "default" ? "default_device" : "device", { number: index + 1 });
    return new Option(label, device.deviceId);
  });
  const select = element(id);
  select.replaceChildren(...options);
  const inUse = { audioinput: devices.microphone, videoinput: devices.camera }[kind]?.getSettings().deviceId;
  select.value = devices.chosen[kind] || inUse || options[0]?.value || "";
}

/** Another device, in the place of the one before: a call goes on with it, and nobody has to agree again. */
async function choose(kind, id) {
  const mine = call;
  try {
    await devices.choose(kind, id);
  } catch (error) {
    if (mine !== call) return;
    if (!mine) return problem(problemOf(error), true);
    hint(kind === "audioinput" ? "in_use_title" : "camera_off");
  }
  if (mine !== call) return;
  if (kind === "audiooutput") await listenBy(id);
  else await takeUp(kind === "audioinput" ? "microphone" : "camera");
  if (mine !== call) return;
  if (devices.chosen[kind] !== id) hint("device_refused");
  await showDevices().catch(() => {});
}

/** All that is heard comes by this speaker. One that cannot be used is chosen no longer. */
async function listenBy(id) {
  const sound = element("sound");
  try {
    await sound.setSinkId?.(id);
    await tones.context.setSinkId?.(id);
  } catch {
    devices.chosen.audiooutput = sound.sinkId;
  }
}

/** The call, or what is shown before it, has the device that is open now. */
async function takeUp(kind) {
  if (kind === "microphone") {
    if (call) await call.peer?.setMicrophone(devices.microphone);
    else if (devices.isLive(kind)) startMeter();
  } else {
    await call?.peer?.setCamera(devices.camera);
    sayCamera();
    showCamera();
  }
}

async function toggleCamera() {
  const mine = call;
  wantsCamera = !devices.camera;
  if (!wantsCamera) devices.stopCamera();
  else {
    try {
      await devices.open(true);
    } catch {
      // The microphone, which is needed first.
      if (call) hint("in_use_title");
    }
  }
  if (mine !== call) return;
  if (call) {
    await call.peer?.setCamera(devices.camera);
    sayCamera();
    hint(devices.camera ? "camera_on" : "camera_off");
  } else if (wantsCamera) await showDevices();
  showCamera();
}

/** A guest that begins unseen says when it is to be seen. */
function sayCamera() {
  if (policy === "recvonly_initially") call?.signal.send({ type: "camera", on: Boolean(devices.camera) });
}

const replacing = new Set();
let isUnheard = false;

/** A device is gone: another one takes its place, if there is one, and the guest is told which. */
async function gone(kind) {
  const mine = call;
  // It may be noticed in two ways.
  if (replacing.has(kind)) return;
  replacing.add(kind);
  await devices.replace(kind);
  replacing.delete(kind);
  if (mine !== call) return;
  await takeUp(kind);
  if (mine !== call) return;
  await showDevices().catch(() => {});
  if (devices.isLive(kind)) {
    const isBack = kind === "microphone" && isUnheard;
    if (isBack) isUnheard = false;
    hint(isBack ? "microphone_back" : `${kind}_other`, { device: devices[kind].label });
  } else if (kind === "camera") hint("camera_gone");
  else if (mine) {
    isUnheard = true;
    hint("microphone_gone", {}, true);
  } else problem("none", true);
}
devices.onended = gone;

/** Something was plugged in or out. */
async function changed() {
  const mine = call;
  if (!devices.microphone) return;
  const kinds = await devices.list();
  if (mine !== call || !devices.microphone) return;
  const isThere = (kind, id) => !id || kinds[kind].some(({ deviceId }) => deviceId === id);
  if (!isThere("audiooutput", devices.chosen.audiooutput)) {
    devices.chosen.audiooutput = "";
    await listenBy("");
    hint("speaker_gone");
  }
  for (const [kind, list] of [["microphone", "audioinput"], ["camera", "videoinput"]]) {
    // Not every browser ends the track of a device that is gone; and one that was missed may have come.
    if (!devices[kind]) continue;
    const isLost = devices.isLive(kind) ? !isThere(list, devices[kind].getSettings().deviceId) : kinds[list].length > 0;
    if (isLost) await gone(kind);
  }
  if (mine === call) await showDevices();
}

/** Counts only while somebody can see it. */
function startCountdown(seconds) {
  let left = seconds;
  show("cancel", true);
  const words = new Intl.RelativeTimeFormat(`${language}-u-nu-latn`);
  say("countdown_said", { when: words.format(seconds, "second") });
  enter("countdown");
  const tick = () => {
    if (document.hidden) return;
    if (left <= 0) {
      endCountdown();
      return void place();
    }
    label("call_now", `(${left})`);
    left -= 1;
  };
  countdown = setInterval(tick, 1000);
  tick();
}

function endCountdown() {
  clearInterval(countdown);
  countdown = 0;
  show("cancel", false);
  show("note", false);
  label("call");
}

// The call.

async function place() {
  if (call || element("call").disabled) return;
  element("call").disabled = true;
  tones.context;
  try {
    if (!(await prepare())) return;
  } finally {
    element("call").disabled = false;
  }
  stopMeter();
  show("timer", false);
  const signal = new Signal(app.dataset.token, () => call?.peer?.isUp);
  call = { signal, peer: null, began: 0, endQuality: null, timer: 0, isBroken: false, state: "calling", lentAt: 0, isTried: false, noVideo: null, hadVideo: false, keypad: "none" };
  listen(call);
  say("calling");
  enter("calling");
  showCamera();
  element("hangup").focus();
  signal.open();
}

function listen(mine) {
  const { signal } = mine;
  const on = (type, act) => signal.addEventListener(type, (event) => mine === call && act(event.detail));
  on("welcome", ({ iceServers, again }) => {
    mine.lentAt = Date.now();
    return again ? resumed(iceServers) : offer(iceServers);
  });
  on("token", (token) => (app.dataset.token = token));
  on("frame", hear);
  on("lost", reconnecting);
  on("ended", (cause) => over(cause, 0));
}

async function offer(iceServers) {
  const mine = call;
  const peer = new Peer(iceServers, policy, devices.microphone, devices.camera);
  mine.peer = peer;
  peer.addEventListener("offer", ({ detail }) => {
    const guest = element("name").value.trim();
    const says = detail.first && isNamed && guest;
    mine.signal.send({ type: detail.first ? "call" : "offer", sdp: detail.sdp, ...(says && { name: guest }) });
    if (detail.first) sayCamera();
  });
  peer.addEventListener("track", ({ detail }) => play(detail));
  peer.addEventListener("broken", () => mine === call && mine.began && broken());
  peer.addEventListener("up", () => mine === call && up());
  peer.addEventListener("late", () => mine === call && hint("no_way", {}, true));
  showStage();
  await peer.offer();
}

function hear(frame) {
  const mine = call;
  switch (frame.type) {
    case "answer":
      call.noVideo = frame.video === null || frame.video === "inactive" ? frame.no_video ?? "inactive" : null;
      call.peer.answer(frame.sdp).then(showStage, () => mine === call && over("codec", 488, true));
      if (!call.noVideo) call.hadVideo = true;
      else if (policy !== "inactive") withoutVideo();
      break;
    case "error":
      notTaken(frame);
      break;
    case "refused":
      call.peer.refused();
      break;
    case "renegotiate":
      call.peer.offer();
      break;
    case "state":
      call.state = frame.state;
      showState();
      break;
    case "keypad":
      call.keypad = frame.by;
      break;
    case "ended":
      over(frame.cause, frame.status);
      break;
  }
}

/** One frame was not taken. What still holds is said again when the node has had time. */
function notTaken({ code, frame }) {
  const mine = call;
  const isBusy = code === "too_busy";
  const later = (act) => isBusy && setTimeout(() => mine === call && act(), 1000);
  if (frame === "offer") mine.peer.refused().then(() => later(() => mine.peer.offer()));
  else if (frame === "camera") later(sayCamera);
  else if (isBusy) hint("not_sent");
}

/** To a guest who talks: while it still rings a hint is gone before anybody is there to be seen. */
function sayNoVideo() {
  if (call.noVideo !== "policy") hint("no_video");
}

/** A callee that holds has no video for a while: then the camera waits. Else it ends. */
function withoutVideo() {
  if (call.noVideo !== "policy" && call.noVideo !== "no_common_codec" && call.hadVideo) return;
  if (call.began) sayNoVideo();
  const mine = call;
  const end = () => {
    if (mine !== call || !call.noVideo || call.hadVideo || !devices.camera) return;
    devices.stopCamera();
    mine.peer.setCamera(null);
    sayCamera();
    showCamera();
  };
  // Some callees say a moment later that they see.
  if (call.noVideo === "policy") end();
  else setTimeout(end, 3000);
}

function showState() {
  const { state } = call;
  // Signalling is there again; sound is not yet.
  if (call.isBroken && !call.peer?.isUp) return;
  call.isBroken = false;
  if (state === "ringing") tones.ring();
  else tones.hush();
  if (state === "connected" || state === "held") begun();
  const shown = state === "early_media" ? "ringing" : state;
  say(shown);
  enter(shown);
  showStage();
}

function begun() {
  if (call.began) return;
  call.began = Date.now();
  if (call.noVideo && policy !== "inactive") sayNoVideo();
  show("timer", true);
  call.timer = setInterval(tick, 1000);
  tick();
  call.endQuality = watchQuality(call.peer, showQuality);
  navigator.wakeLock?.request("screen").then((lock) => (wakeLock = lock), () => {});
}

function tick() {
  const seconds = Math.floor((Date.now() - call.began) / 1000);
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  const two = (number) => String(number).padStart(2, "0");
  element("timer").textContent = `${hours ? `${hours}:` : ""}${two(minutes)}:${two(seconds % 60)}`;
}

function showQuality({ level, loss, delay, jitter }) {
  const mark = element("quality");
  mark.dataset.level = level;
  const words = `${text(`quality_${level}`)}: ${text("quality_detail", { loss, delay, jitter })}`;
  mark.setAttribute("aria-label", words);
  mark.title = words;
  mark.hidden = false;
  showStage();
}

/** Some browsers play nothing until their guest has pressed something. */
function startSound() {
  return element("sound").play().then(
    () => show("blocked", false),
    ({ name: why }) => why === "NotAllowedError" && show("blocked", Boolean(call)),
  );
}

function play(track) {
  if (track.kind === "audio") {
    element("sound").srcObject = new MediaStream([track]);
    return void startSound();
  }
  const remote = element("remote");
  remote.srcObject = new MediaStream([track]);
  // A track comes with the answer; a picture when there is one.
  remote.onresize = showStage;
  track.onmute = showStage;
  track.onunmute = showStage;
}

function showStage() {
  const remote = element("remote");
  const track = remote.srcObject?.getVideoTracks()[0];
  const seesOther = Boolean(call && !call.noVideo && track && !track.muted && remote.videoWidth > 0);
  const seesSelf = Boolean(call && devices.camera && !call.noVideo);
  remote.hidden = !seesOther;
  if (call) show("self", seesSelf);
  const isQualityOnly = Boolean(call) && !element("quality").hidden && !seesOther && !seesSelf;
  show("stage", seesOther || seesSelf);
  app.classList.toggle("has-video", seesOther || seesSelf);
  // Without a picture the mark stands beside the time.
  const place = isQualityOnly ? element("timer").parentElement : document.querySelector(".badges");
  if (element("quality").parentElement !== place) place.append(element("quality"));
  show("video", Boolean(call?.peer?.hasVideo) && mayShow && !call.noVideo);
  show("keypad-toggle", Boolean(call?.began));
  show("full", seesOther && document.fullscreenEnabled === true);
}

let hintTimer = 0;
function hint(key, values, stays = false) {
  element("hint").textContent = text(key, values);
  show("hint", true);
  clearTimeout(hintTimer);
  if (!stays) hintTimer = setTimeout(() => show("hint", false), 5000);
}

// A network that changes.

function reconnecting() {
  call.isBroken = true;
  tones.hush();
  say("reconnecting");
  enter("reconnecting");
}

async function resumed(iceServers) {
  const mine = call;
  sayCamera();
  await mine.peer?.restart(iceServers);
  if (!mine.began) mine.isBroken = false;
  if (mine === call) showState();
}

function up() {
  call.isTried = false;
  if (element("hint").textContent === text("no_way")) show("hint", false);
  if (app.dataset.state === "reconnecting") showState();
}

/** Credentials of relays live for ten minutes. */
const LENT_MS = 540000;

async function broken() {
  // The same network lets no more through the second time; the node knows how long that is waited for.
  if (!call.peer.wasUp && !call.peer.hasRelays) return;
  // Fresh credentials come with another WebSocket; one that is well is kept while those at hand may do.
  const isOver = call.isTried || Date.now() - call.lentAt > LENT_MS;
  if (call.peer.hasRelays && isOver) return call.signal.again();
  call.isTried = true;
  reconnecting();
  if (!call.signal.send({ type: "ping" })) return;
  await call.peer.restart();
}

window.addEventListener("online", () => call?.signal.again());
navigator.connection?.addEventListener?.("change", () => call?.began && navigator.onLine && call.signal.probe());

// The end.

function over(cause, status, tellNode) {
  const ended = call;
  if (!ended) return;
  // A token of a moment ago: its cookie is not there.
  if (cause === "bad_token") cause = "no_cookie";
  if (tellNode) ended.signal.send({ type: "leave" });
  call = null;
  ended.signal.close();
  ended.peer?.close();
  ended.endQuality?.();
  clearInterval(ended.timer);
  wakeLock?.release();
  wakeLock = null;
  tones.hush();
  if (ended.began) tones.over();
  devices.close();
  isUnheard = false;
  if (policy === "recvonly_initially") wantsCamera = false;
  if (document.fullscreenElement) document.exitFullscreen();
  element("sound").srcObject = null;
  element("remote").srcObject = null;
  show("quality", false);
  show("hint", false);
  show("blocked", false);
  element("mute").setAttribute("aria-pressed", "false");
  element("keys").textContent = "";
  const reason = reasonOf(cause, status);
  say(reason);
  show("note", false);
  show("preview", false);
  show("camera-toggle", false);
  show("devices-toggle", false);
  label("again");
  mayCall(!["gone", "guard", "guard_emergency", "not_found"].includes(reason));
  offerAlone(reason === "cookies");
  app.dataset.reason = reason;
  showCamera();
  show("preview", false);
  enter("ended", cause);
  if (!element("call").hidden) element("call").focus();
}

function hangUp() {
  // The node's last word may not come any more.
  call?.signal.send({ type: "leave" });
  over("left", 200);
}

// What is pressed.

function toggleMute() {
  const track = devices.microphone;
  if (!track) return;
  track.enabled = !track.enabled;
  element("mute").setAttribute("aria-pressed", String(!track.enabled));
  if (!track.enabled) hint("muted");
}

function toggleKeypad(isOpen) {
  if (isOpen) toggleDevices(false);
  show("keypad", isOpen);
  element("keypad-toggle").setAttribute("aria-expanded", String(isOpen));
}

/** The same choice before a call and during it. */
function toggleDevices(isOpen) {
  if (isOpen && call) toggleKeypad(false);
  show("devices", isOpen);
  for (const id of ["devices-toggle", "settings"]) element(id).setAttribute("aria-expanded", String(isOpen));
}

function press(key) {
  if (!call?.began) return;
  const isSent = call.keypad === "rtp" && call.peer.dial(key);
  if (!isSent && call.keypad !== "none" && !call.signal.send({ type: "dtmf", digits: key })) return;
  tones.key(key);
  element("keys").textContent = (element("keys").textContent + key).slice(-24);
}

async function toggleFull() {
  if (document.fullscreenElement) await document.exitFullscreen();
  // With its controls: nobody has to leave to hang up.
  else await app.requestFullscreen();
}

element("call").addEventListener("click", () => {
  if (countdown) endCountdown();
  place();
});
element("cancel").addEventListener("click", () => {
  endCountdown();
  say("ready");
  enter("idle");
  element("call").focus();
});
element("check").addEventListener("click", () => {
  wantsCamera = policy === "sendrecv";
  prepare();
});
for (const id of ["devices-toggle", "settings"]) {
  element(id).addEventListener("click", () => toggleDevices(element("devices").hidden));
}
element("camera-toggle").addEventListener("click", toggleCamera);
element("video").addEventListener("click", toggleCamera);
element("mute").addEventListener("click", toggleMute);
element("hangup").addEventListener("click", hangUp);
element("full").addEventListener("click", toggleFull);
element("keypad-toggle").addEventListener("click", () => toggleKeypad(element("keypad").hidden));
element("keypad").addEventListener("click", (event) => event.target.dataset.key && press(event.target.dataset.key));
document.addEventListener("keydown", (event) => {
  if (element("keypad").hidden || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape") {
    toggleKeypad(false);
    element("keypad-toggle").focus();
  } else if (/^[0-9*#]$/.test(event.key) && !event.repeat) press(event.key);
});
for (const pressed of ["click", "keydown"]) {
  document.addEventListener(pressed, () => {
    if (element("blocked").hidden) return;
    tones.context;
    void startSound();
  });
}
document.addEventListener("fullscreenchange", () => {
  element("full").setAttribute("aria-pressed", String(Boolean(document.fullscreenElement)));
});
for (const [id, kind] of [["microphone", "audioinput"], ["speaker", "audiooutput"], ["camera", "videoinput"]]) {
  element(id).addEventListener("change", (event) => choose(kind, event.target.value));
}
navigator.mediaDevices?.addEventListener?.("devicechange", () => changed().catch(() => {}));
window.addEventListener("pagehide", () => call?.signal.close());

enter("idle");
app.dataset.alive = "true";
void begin();
