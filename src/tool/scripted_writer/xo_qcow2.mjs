// @xen-orchestra/qcow2: makes a qcow2 of a raw file. Blocks of zeros are left out, as of the sparse disks that Xen Orchestra has.
import { createWriteStream, existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { pathToFileURL } from "node:url";

const NAME = "@xen-orchestra/qcow2";
const BLOCK_BYTES = 64 << 10;

// Where `npm install -g` leaves modules, with or without --prefix: beside the programs of each directory of PATH.
const roots = [dirname(process.execPath), ...(process.env.PATH ?? "").split(":")].flatMap((bin) => [
  join(bin, "../lib/node_modules"),
  join(bin, "../node_modules"),
]);
const root = roots.find((root) => existsSync(join(root, NAME)));
if (root === undefined) {
  console.error(`no module ${NAME} lies in ${roots.join(", ")}`);
  process.exit(1);
}
const manifest = join(root, NAME, "package.json");
const { version } = JSON.parse(readFileSync(manifest, "utf8"));
const own = createRequire(manifest);
const load = (name) => import(pathToFileURL(own.resolve(name)).href);

const [task, from, to] = process.argv.slice(1);
try {
  const { toQcow2Stream } = await load(NAME);
  const { RandomAccessDisk } = await load("@xen-orchestra/disk-transform");
  if (task === "version") {
    console.log(version);
  } else {
    const bytes = readFileSync(from);
    const block = (index) => bytes.subarray(index * BLOCK_BYTES, (index + 1) * BLOCK_BYTES);
    const count = Math.ceil(bytes.length / BLOCK_BYTES);
    const full = [...Array(count).keys()].filter((index) => block(index).some((byte) => byte !== 0));
    const isFull = new Set(full);
    class Flat extends RandomAccessDisk {
      getVirtualSize() { return bytes.length; }
      getBlockSize() { return BLOCK_BYTES; }
      getBlockIndexes() { return full; }
      hasBlock(index) { return isFull.has(index); }
      isDifferencing() { return false; }
      async readBlock(index) {
        const data = Buffer.alloc(BLOCK_BYTES);
        block(index).copy(data);
        return { index, data };
      }
      async init() {}
      async close() {}
    }
    await pipeline(toQcow2Stream(new Flat()), createWriteStream(to));
  }
} catch (why) {
  console.error(`${why.name}: ${why.message}`);
  process.exit(1);
}
