import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Who may speak to the API server: token, user, groups. */
const users: [string, string, string][] = [
  ['admin-token', 'admin', 'system:masters'],
  ['controller-manager-token', 'system:kube-controller-manager', ''],
  ['scheduler-token', 'system:kube-scheduler', ''],
  ['proxy-token', 'system:kube-proxy', ''],
  ['node1-token', 'system:node:node1', 'system:nodes'],
];

/** 10.96.0.1 is the `kubernetes` service, 10.250.0.1 the first node's address (real-node.ts). */
const names = [
  'IP:127.0.0.1',
  'IP:10.96.0.1',
  'IP:10.250.0.1',
  'DNS:localhost',
  'DNS:kubernetes',
  'DNS:kubernetes.default.svc',
];

/** Makes a CA, the API server's certificate, the service accounts' key and the users' tokens in a folder. */
export function makePki(folder: string): void {
  const openssl = (...args: string[]): void => void execFileSync('openssl', args, { cwd: folder, stdio: 'pipe' });
  openssl('ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', 'ca.key');
  openssl('req', '-x509', '-new', '-key', 'ca.key', '-days', '30', '-subj', '/CN=test-ca', '-out', 'ca.crt');
  const leaf = (name: string, subject: string): void => {
    openssl('ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', `${name}.key`);
    openssl('req', '-new', '-key', `${name}.key`, '-subj', subject, '-out', `${name}.csr`);
    const sign = ['-CA', 'ca.crt', '-CAkey', 'ca.key', '-CAcreateserial', '-days', '30', '-extfile', 'san.cnf'];
    openssl('x509', '-req', '-in', `${name}.csr`, ...sign, '-out', `${name}.crt`);
  };
  writeFileSync(join(folder, 'san.cnf'), `basicConstraints=CA:FALSE\nsubjectAltName=${names.join(',')}\n`);
  leaf('apiserver', '/CN=kube-apiserver');
  // With this one the API server asks kubelets for logs and exec.
  leaf('kubelet-client', '/O=system:masters/CN=kube-apiserver-kubelet-client');
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
  user: 'admin' | 'controller-manager' | 'scheduler' | 'proxy' | 'node1',
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
