// Node.js strips the types itself: no transform. One project per ring of tests.
const ring = (name, testMatch) => ({
  displayName: name,
  testEnvironment: 'node',
  extensionsToTreatAsEsm: ['.ts'],
  transform: {},
  testMatch,
  modulePathIgnorePatterns: ['<rootDir>/.dpo'],
  injectGlobals: false,
  // Whole models and control planes lie in the temporary folders.
  globalSetup: '<rootDir>/test/temporary-setup.ts',
  globalTeardown: '<rootDir>/test/temporary-teardown.ts',
});

export default {
  // No test is about time: on a machine that is busy each may take many times as long.
  testTimeout: 60_000,
  projects: [
    ring('unit', ['<rootDir>/test/{crds,operator,trainer-image,charts,scripts,examples,docs,security}/**/*.test.ts']),
    ring('runs', ['<rootDir>/test/runs/**/*.test.ts']),
    ring('integration', ['<rootDir>/test/integration/**/*.test.ts']),
    ring('e2e', ['<rootDir>/test/e2e/**/*.test.ts']),
  ],
};
