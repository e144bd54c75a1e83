module.exports = {
  uiHost: "127.0.0.1",
  uiPort: process.env.PORT || 1880,
  flowFile: "/usr/src/node-red/flows.json",
  userDir: "/data",
  credentialSecret: false,
  disableEditor: true,
  telemetry: { enabled: false },
  externalModules: { autoInstall: false },
};
