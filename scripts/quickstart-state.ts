import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { kubeallPath, promtoolPath } from '../test/cluster/install.ts';
import { prometheusAddress } from '../test/cluster/prometheus.ts';

/** What quickstart remembers of the cluster that it left running. */
export interface QuickstartState {
  /** Of the process that holds the cluster. */
  pid: number;
  /** Command that enters the cluster's network and files. */
  enter: string[];
  kubeconfig: string;
  /** Folder of the claim `models` on this machine. */
  models: string;
}

const cache = process.env['DPO_CACHE_DIR'] ?? join(homedir(), '.cache', 'dpo-operator');
/** Set to another folder, a second quickstart runs beside the first: the tests do so. */
const folder = process.env['DPO_QUICKSTART_DIR'] ?? join(cache, 'quickstart');
const stateFile = join(folder, 'state.json');
export const logFile = join(folder, 'cluster.log');
/** Scripts for the user: kubectl in the cluster, and a query to its Prometheus. */
export const kubectlScript = join(folder, 'kubectl');
export const queryScript = join(folder, 'query');

/** Writes what quickstart remembers, and the scripts. */
export function keepState(state: QuickstartState): void {
  const { enter, kubeconfig } = state;
  // From wherever they are called: files that are named on their command line are found.
  const inside = `exec ${enter.filter((part) => !part.startsWith('--wd=')).join(' ')} --wd="$PWD"`;
  const script = (file: string, command: string): void =>
    writeFileSync(file, `#!/bin/sh\n${inside} ${command} "$@"\n`, { mode: 0o755 });
  mkdirSync(folder, { recursive: true });
  script(kubectlScript, `${kubeallPath()} kubectl --kubeconfig=${kubeconfig}`);
  script(queryScript, `${promtoolPath()} query instant http://${prometheusAddress}`);
  writeFileSync(stateFile, JSON.stringify(state));
}

export function forgetState(): void {
  for (const file of [stateFile, kubectlScript, queryScript]) rmSync(file, { force: true });
}

/** Whether the process is the one that holds the cluster: after a reboot its number may be anyone's. */
function holdsCluster(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('quickstart-cluster.ts');
  } catch {
    return false;
  }
}

/** The running cluster, or undefined. */
export function findState(): QuickstartState | undefined {
  if (!existsSync(stateFile)) return undefined;
  const state = JSON.parse(readFileSync(stateFile, 'utf8')) as QuickstartState;
  return holdsCluster(state.pid) ? state : undefined;
}
