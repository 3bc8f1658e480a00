// nginx with TLS in front of the console, set up as its own documentation begins: proxy_pass alone.
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Authority } from './authority.ts';
import { type Stack, call, listening, run } from './programs.ts';

export async function nginx(stack: Stack, authority: Authority, port: number, upstream: number): Promise<string> {
  const folder = await stack.folder('ng-');
  const { certificate, key } = await authority.issue('nginx');
  await mkdir(join(folder, 'tmp'));
  const places = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
  await writeFile(
    join(folder, 'nginx.conf'),
    `daemon off; pid ${folder}/pid; error_log ${folder}/error.log; worker_processes 1;
user ${(await call('id', ['-un'])).trim()};
events {}
http {
  access_log off;
  ${places.map((place) => `${place}_temp_path ${folder}/tmp/${place};`).join(' ')}
  server {
    listen 127.0.0.1:${port} ssl;
    ssl_certificate ${certificate}; ssl_certificate_key ${key};
    location / {
      proxy_pass http://127.0.0.1:${upstream};
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    }
  }
}
`,
  );
  const log = join(folder, 'log');
  const server = run(stack, '/usr/sbin/nginx', ['-e', `${folder}/error.log`, '-c', join(folder, 'nginx.conf')], { log });
  await listening(port, server, log);
  // It says its version where errors go.
  const said = await call('sh', ['-c', '/usr/sbin/nginx -v 2>&1']);
  return /nginx\/([\d.]+)/.exec(said)![1];
}
