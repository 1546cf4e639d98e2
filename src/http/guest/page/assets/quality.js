// How a call sounds, from what the browser counts: loss and jitter of what it hears, delay both ways.

/** Tells `show` every two seconds; returns what ends it. */
export function watchQuality(peer, show) {
  let before = null;
  const timer = setInterval(async () => {
    const now = { isUp: peer.isUp, lost: 0, received: 0, jitter: 0, delay: 0 };
    for (const report of (await peer.stats()).values()) {
      if (report.type === "inbound-rtp" && report.kind === "audio") {
        now.lost += report.packetsLost ?? 0;
        now.received += report.packetsReceived ?? 0;
        now.jitter = Math.max(now.jitter, (report.jitter ?? 0) * 1000);
      }
      if (report.type === "candidate-pair" && report.nominated && report.state === "succeeded") {
        now.delay = (report.currentRoundTripTime ?? 0) * 1000;
      }
    }
    if (before) show(judge(before, now));
    before = now;
  }, 2000);
  return () => clearInterval(timer);
}

/** 3 good, 2 fair, 1 poor. */
export function judge(before, now) {
  const lost = Math.max(0, now.lost - before.lost);
  const all = lost + Math.max(0, now.received - before.received);
  const loss = all ? (100 * lost) / all : 0;
  const { delay, jitter } = now;
  const isPoor = !now.isUp || loss > 8 || delay > 500 || jitter > 80;
  const isFair = loss > 2 || delay > 250 || jitter > 35;
  return { level: isPoor ? 1 : isFair ? 2 : 3, loss: Math.round(loss * 10) / 10, delay: Math.round(delay), jitter: Math.round(jitter) };
}
