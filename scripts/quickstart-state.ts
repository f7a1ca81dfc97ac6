import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

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
export const stateFile = join(folder, 'state.json');
export const logFile = join(folder, 'cluster.log');

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
