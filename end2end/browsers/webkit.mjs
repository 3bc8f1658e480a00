// WebKitGTK: its MiniBrowser, by its own WebDriver. It needs a display: run it under `xvfb-run`.
import { execFileSync, spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Builder, Capabilities } from 'selenium-webdriver';
import { holds, pictures, until, withDemo } from './demo.mjs';
import { carry, HOLDS, TRIED } from './procedure.mjs';

const folders = execFileSync('sh', ['-c', 'ls -d /usr/lib/*/webkit2gtk-4.*/MiniBrowser'], { encoding: 'utf8' });
const program = process.env.MINIBROWSER ?? folders.trim().split('\n').pop();
const said = execFileSync('dpkg-query', ['-W', '-f', '${Version}', 'webkit2gtk-driver'], { encoding: 'utf8' });
const version = said.split('-')[0];

const port = 45_000 + Math.floor(Math.random() * 2_000);
const driver = spawn('WebKitWebDriver', [`--port=${port}`], {
  stdio: 'ignore',
  // Its sandbox wants namespaces that a container may not give.
  env: { ...process.env, WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS: '1', LIBGL_ALWAYS_SOFTWARE: '1' },
});
try {
  await until('WebKitWebDriver', 20_000, async () => (await fetch(`http://127.0.0.1:${port}/status`)).ok);
  await withDemo('webkit', async (demo) => {
    const capabilities = new Capabilities({
      browserName: 'MiniBrowser',
      'webkitgtk:browserOptions': { binary: program, args: ['--automation'] },
    });
    const webkit = await new Builder().usingServer(`http://127.0.0.1:${port}`).withCapabilities(capabilities).build();
    try {
      await webkit.manage().window().setRect({ width: 1280, height: 800 });
      await carry(
        {
          goto: (address) => webkit.get(address),
          address: () => webkit.getCurrentUrl(),
          run: (work, argument) => webkit.executeScript(`return (${work})(arguments[0])`, argument ?? null),
          picture: async (name) =>
            writeFileSync(join(pictures, `webkit-${name}.png`), await webkit.takeScreenshot(), 'base64'),
        },
        demo,
      );
    } finally {
      await webkit.quit();
    }
  });
} finally {
  driver.kill();
}
holds('WebKitGTK', version, TRIED, HOLDS);
console.log(`WebKitGTK ${version}: ${HOLDS}`);
