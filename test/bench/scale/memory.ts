import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** What the processes of a group have in memory, as the kubelet counts it: all but pages of files that could be dropped. */
export interface MemoryGroup {
  /** The file that takes a process in. */
  procs: string;
  /** MiB in use. */
  used(): number;
  remove(): void;
}

const [v1, v2] = ['/sys/fs/cgroup/memory', '/sys/fs/cgroup'];

/** A cgroup (version 1 or 2) of its own with a limit in bytes, by which Node.js sizes its heap; throws where none may be made. */
export function memoryGroup(name: string, limit: number): MemoryGroup {
  const isV1 = existsSync(v1);
  const folder = join(isV1 ? v1 : v2, name);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, isV1 ? 'memory.limit_in_bytes' : 'memory.max'), String(limit));
  const read = (file: string): string => readFileSync(join(folder, file), 'utf8');
  const [usage, inactive] = isV1
    ? ['memory.usage_in_bytes', 'total_inactive_file']
    : ['memory.current', 'inactive_file'];
  return {
    procs: join(folder, 'cgroup.procs'),
    used: () => {
      const dropped = Number(new RegExp(`^${inactive} (\\d+)`, 'm').exec(read('memory.stat'))?.[1] ?? 0);
      return (Number(read(usage)) - dropped) / 2 ** 20;
    },
    remove: () => rmdirSync(folder),
  };
}
