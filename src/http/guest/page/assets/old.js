// For browsers that know too little to run the page: what they do not understand has left no mark.
window.addEventListener("load", function () {
  setTimeout(function () {
    if (document.getElementById("app").getAttribute("data-alive")) return;
    document.getElementById("old").hidden = false;
    document.getElementById("setup").hidden = true;
    document.getElementById("status").hidden = true;
  }, 1000);
});
