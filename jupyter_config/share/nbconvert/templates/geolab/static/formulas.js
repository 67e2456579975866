// Stands where Voila would load MathJax from a CDN: formulas stay as they were written.
(function () {
  const nothing = function () {};
  window.MathJax = {
    Hub: { Config: nothing, Configured: nothing, Queue: nothing, Register: { StartupHook: nothing } },
  };
})();
