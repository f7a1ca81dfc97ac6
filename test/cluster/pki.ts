import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Who may speak to the API server: token, user, groups. */
const users: [string, string, string][] = [
  ['admin-token', 'admin', 'system:masters'],
  ['controller-manager-token', 'system:kube-controller-manager', ''],
  ['scheduler-token', 'system:kube-scheduler', ''],
];

const names = ['IP:127.0.0.1', 'DNS:localhost', 'DNS:kubernetes', 'DNS:kubernetes.default.svc'];

/** Makes a CA, the API server's certificate, the service accounts' key and the users' tokens in a folder. */
export function makePki(folder: string): void {
  const openssl = (...args: string[]): void => void execFileSync('openssl', args, { cwd: folder, stdio: 'pipe' });
  openssl('ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', 'ca.key');
  openssl('req', '-x509', '-new', '-key', 'ca.key', '-days', '30', '-subj', '/CN=test-ca', '-out', 'ca.crt');
  openssl('ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', 'apiserver.key');
  openssl('req', '-new', '-key', 'apiserver.key', '-subj', '/CN=kube-apiserver', '-out', 'apiserver.csr');
  writeFileSync(join(folder, 'san.cnf'), `basicConstraints=CA:FALSE\nsubjectAltName=${names.join(',')}\n`);
  const sign = ['-CA', 'ca.crt', '-CAkey', 'ca.key', '-CAcreateserial', '-days', '30', '-extfile', 'san.cnf'];
  openssl('x509', '-req', '-in', 'apiserver.csr', ...sign, '-out', 'apiserver.crt');
  openssl('genrsa', '-out', 'sa.key', '2048');
  openssl('rsa', '-in', 'sa.key', '-pubout', '-out', 'sa.pub');
  writeFileSync(
    join(folder, 'tokens.csv'),
    users.map(([token, user, group]) => `${token},${user},${user},"${group}"\n`).join(''),
  );
}

/** Writes a kubeconfig for one of the users and returns its path. */
export function writeKubeconfig(
  folder: string,
  server: string,
  user: 'admin' | 'controller-manager' | 'scheduler',
): string {
  const path = join(folder, `${user}.kubeconfig`);
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'test', cluster: { server, 'certificate-authority': join(folder, 'ca.crt') } }],
    users: [{ name: user, user: { token: `${user}-token` } }],
    contexts: [{ name: 'test', context: { cluster: 'test', user } }],
    'current-context': 'test',
  };
  writeFileSync(path, JSON.stringify(config));
  return path;
}
