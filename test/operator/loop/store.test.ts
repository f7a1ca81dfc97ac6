import { describe, expect, test } from '@jest/globals';
import type { Stored } from '../../../operator/cluster/cluster.ts';
import { Store } from '../../../operator/loop/store.ts';

interface Thing extends Stored {
  owner?: string;
}
const thing = (
  name: string,
  version: number,
  more: { uid?: string; owner?: string; namespace?: string } = {},
): Thing => {
  const { uid = `uid-${name}`, owner, namespace = 'team' } = more;
  return { metadata: { name, namespace, uid, resourceVersion: String(version) }, ...(owner ? { owner } : {}) };
};
function listened(): { store: Store<Thing>; said: string[] } {
  const store = new Store<Thing>(({ owner }) => owner);
  const said: string[] = [];
  const version = (one: Thing | undefined): string => one?.metadata.resourceVersion ?? '-';
  store.onChange((before, after) => said.push(`${version(before)}→${version(after)}`));
  return { store, said };
}

describe('a store', () => {
  test('never goes back: an older view, or a repeated one, is passed over', () => {
    const { store, said } = listened();
    store.put(thing('a', 10));
    store.put(thing('a', 9));
    store.put(thing('a', 10));
    store.put(thing('a', 100));
    expect(said).toEqual(['-→10', '10→100']);
    expect(store.get('team', 'a')?.metadata.resourceVersion).toBe('100');
  });

  test('does not bring back what was deleted when a late answer arrives', () => {
    const { store } = listened();
    store.put(thing('a', 1));
    store.delete(thing('a', 2));
    store.put(thing('a', 1));
    expect(store.size).toBe(0);
    store.put(thing('a', 3, { uid: 'another' }));
    expect(store.get('team', 'a')?.metadata.uid).toBe('another');
  });

  test('takes back what had only lost the label by which it is watched', () => {
    const { store } = listened();
    store.put(thing('a', 1));
    store.delete(thing('a', 2));
    store.put(thing('a', 3));
    expect(store.get('team', 'a')?.metadata.resourceVersion).toBe('3');
    store.replace([], '5');
    store.put(thing('a', 4));
    expect(store.size).toBe(0);
  });

  test("tells an object's last state before its deletion", () => {
    const { store, said } = listened();
    store.put(thing('a', 1));
    store.delete(thing('a', 5));
    expect(said).toEqual(['-→1', '1→5', '5→-']);
  });

  test('a late deletion of one object spares another that took its name', () => {
    const { store } = listened();
    store.put(thing('a', 7, { uid: 'second' }));
    store.delete(thing('a', 5, { uid: 'first' }));
    expect(store.get('team', 'a')?.metadata.uid).toBe('second');
  });

  test('a new list deletes what is missing in it, in its namespace only, and not what is newer than the list', () => {
    const { store, said } = listened();
    store.put(thing('a', 1));
    store.put(thing('b', 2));
    store.put(thing('new', 9));
    store.put(thing('other', 3, { namespace: 'elsewhere' }));
    said.length = 0;
    store.replace([thing('b', 4)], '5', 'team');
    expect(said).toEqual(['1→-', '2→4']);
    expect([...store.all()].map(({ metadata }) => metadata.name).sort()).toEqual(['b', 'new', 'other']);
  });

  test('finds objects by their index, and follows when it changes', () => {
    const { store } = listened();
    store.put(thing('a', 1, { owner: 'x' }));
    store.put(thing('b', 2, { owner: 'x' }));
    store.put(thing('a', 3, { owner: 'y' }));
    expect(store.byIndex('x').map(({ metadata }) => metadata.name)).toEqual(['b']);
    expect(store.byIndex('y').map(({ metadata }) => metadata.name)).toEqual(['a']);
    store.delete(thing('b', 4, { owner: 'x' }));
    expect(store.byIndex('x')).toEqual([]);
  });
});
