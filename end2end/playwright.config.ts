import { defineConfig } from '@playwright/test';

export default defineConfig({
  testDir: 'tests',
  outputDir: 'artifacts/results',
  // They wait for each other's servers a third of the time, so one more than there are cores.
  workers: 3,
  // Generous: the machine may be building something else meanwhile.
  timeout: 300_000,
  expect: { timeout: 10_000 },
  forbidOnly: !!process.env.CI,
  reporter: [['list'], ['html', { outputFolder: 'artifacts/report', open: 'never' }]],
  use: {
    viewport: { width: 1440, height: 900 },
    // Without pictures: taking them all the time takes longer than the tests.
    trace: { mode: 'retain-on-failure', screenshots: false },
    // A click on what never comes says so, long before the test's own end.
    actionTimeout: 30_000,
    contextOptions: { reducedMotion: 'reduce' },
    screenshot: 'only-on-failure',
    launchOptions: {
      executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium-headless-shell',
      args: [
        '--no-sandbox',
        '--disable-gpu',
        '--disable-quic',
        '--no-first-run',
        '--disable-background-networking',
        '--disable-component-update',
        '--disable-sync',
      ],
    },
  },
  // Each project has workers, and so demos, of its own: what one does to a ticket, no other sees.
  projects: [
    { name: 'scripts-off', testMatch: 'nov-4801.spec.ts', use: { javaScriptEnabled: false } },
    { name: 'islands', testMatch: 'nov-4801.spec.ts' },
    { name: 'console', testIgnore: /(nov-4801|nov-4806|nov-4809|nov-4814|owner-key|evidence|auditor|timeline|live|looks-.*).spec.ts/ },
    { name: 'owner', testMatch: /(nov-4806|nov-4809|owner-key).spec.ts/ },
    { name: 'evidence', testMatch: 'evidence.spec.ts' },
    // Each uses up NOV-4801, as others do.
    { name: 'auditor', testMatch: 'auditor.spec.ts' },
    { name: 'timeline', testMatch: 'timeline.spec.ts' },
    // Starts and stops a server of its own.
    { name: 'live', testMatch: 'live.spec.ts' },
    // Counts what happened, so nothing else may happen there.
    { name: 'overview', testMatch: 'looks-overview.spec.ts' },
    {
      name: 'looks',
      testMatch: /(looks-.*|nov-4814).spec.ts/,
      testIgnore: 'looks-overview.spec.ts',
    },
  ],
});
