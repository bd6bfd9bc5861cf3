// Loaded before the library (mocha --require): what a test forgot is never freed in the middle of another test, which
// compares how many buffers there are before and after.
globalThis.FinalizationRegistry = class {
  register() {}
  unregister() {}
};
