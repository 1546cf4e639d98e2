// The start of a link, as the viewer writes times; and the page again when it has come.
const when = document.getElementById("when");
const start = new Date(when.dateTime);
if (when.dateTime && !Number.isNaN(start.getTime())) {
  const locale = document.documentElement.lang;
  when.textContent = start.toLocaleString(locale, { dateStyle: "full", timeStyle: "short" });
  const wait = start.getTime() - Date.now();
  // A clock that is ahead comes back in vain, each time later.
  let vain = 1;
  try {
    if (wait <= 0) vain = Math.min(64, 2 * Number(sessionStorage.getItem("sluice-vain") || 1));
    sessionStorage.setItem("sluice-vain", vain);
  } catch {
    vain = 8;
  }
  if (wait < 86_400_000) setTimeout(() => location.reload(), Math.max(wait, 0) + vain * (2000 + Math.random() * 3000));
}
