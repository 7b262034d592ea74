"""An independent decoder of the newer generations of the Python harness, on Python's own `random`.

`.ci/decode` calls it. It was written from the notes about the draws alone, without the Rust decoder, and shares nothing with it: both must
print the same JSON. `decode.py cases GENERATION SEED COUNT [OPS]` prints one case a line; `decode.py golden FILE...` compares files of golden cases.
"""

import hashlib
import json
import math
import random
import sys

M = 1 << 20
UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
OPS = ("info check convert convert_compressed measure create resize amend rebase commit map snapshot repair dd bitmap bench").split()
FORMATS = {
    "ops15": ["qcow2", "raw", "vmdk", "vpc"],
    "ops16": ["qcow2", "raw", "vmdk", "vpc"],
    "ops16s": ["qcow2", "raw", "vmdk", "vpc"],
    "ops16v": ["qcow2", "raw", "vmdk", "vpc", "vdi"],
    "ops16p": ["qcow2", "raw", "vmdk", "vpc", "vdi", "parallels"],
    "ops16q": ["qcow2", "raw", "vmdk", "vpc", "vdi", "parallels", "qcow"],
    "ops16d": ["qcow2", "raw", "vmdk", "vpc", "vdi", "parallels", "qcow", "dmg"],
}
ADDED = ["vdi", "parallels", "qcow", "dmg"]
VPC = {"1M": 1079296, "4M": 4212736, "16M": 16781312, "64M": 67125248, "256M": 268886016, "1G": 1073995776}


def size_of(text):
    return int(text[:-1]) * UNITS[text[-1]]


class Draws(random.Random):
    """Python's generator, which counts the words that it gives."""

    words = 0

    def random(self):
        self.words += 2
        return super().random()

    def getrandbits(self, bits):
        self.words += (bits + 31) // 32
        return super().getrandbits(bits)

    def p(self, probability):
        return self.random() < probability


def image(r, generation):
    fmt = r.choice(FORMATS[generation])
    size = r.choice(["1M", "4M", "16M", "64M", "256M", "1G"])
    pattern = r.choice(["zeros", "random", "sparse", "mbr"])
    out = {"format": fmt, "virtual_size": size, "pattern": pattern}
    if fmt == "dmg":
        return dmg(r)
    if fmt == "qcow2":
        out["cluster_size"] = r.choice([512, 4096, 65536, 262144, 2097152])
    if fmt == "vdi":
        out["static"] = r.p(0.3)
    if fmt == "parallels" and r.p(0.3):
        out["cluster_size"] = r.choice([4096, 65536, 1048576])
    if pattern == "random":
        out["writes"] = []
        for _ in range(r.randint(1, 4)):
            offset = r.choice([0, 4096, 8192, 65536, 131072])
            length = r.choice([512, 4096])
            out["writes"].append({"offset": offset, "length": length, "byte": r.randint(0, 255)})
    if fmt == "qcow":
        out["compressed"] = r.p(0.3)
    return out


def dmg(r):
    count = r.randint(1, 8)
    chunks = []
    for _ in range(count):
        kind = r.choice(["zero", "raw", "zlib"])
        chunks.append([kind, r.randint(1, 4096)])
    split = None
    if count >= 2 and r.p(0.25):
        split = r.randint(1, count - 1)
    guest = hashlib.sha256()
    heads = []
    for kind, sectors in chunks:
        if kind == "zero":
            guest.update(bytes(512 * sectors))
            continue
        data = r.randbytes(512 * sectors)
        guest.update(data)
        heads.append(data[:8].hex())
    fork = r.p(0.20)
    return {"format": "dmg", "virtual_size": None, "pattern": None, "chunks": chunks, "split": split, "resource_fork": fork,
            "sectors": sum(sectors for _, sectors in chunks), "payload_head": heads, "guest_sha256": guest.hexdigest()}


def virtual_size(img):
    if img["format"] == "dmg":
        return img["sectors"] * 512
    if img["format"] == "vpc":
        return VPC[img["virtual_size"]]
    return size_of(img["virtual_size"])


def convert(r, img, name):
    return {"op": name, "target": r.choice(["raw", "qcow2"])}


def measure(r, img, name):
    if img["format"] in ADDED:
        return {"op": name, "skipped": img["format"]}
    return {"op": name, "target": r.choice(["raw", "qcow2", "vmdk", "vpc", "vhdx"])}


def qcow2_options(r, clusters):
    cluster = r.choice(clusters)
    extended = r.random() < 0.3 and cluster >= 16384
    options = [f"cluster_size={cluster}"]
    if extended:
        options.append("extended_l2=on")
    if r.p(0.3):
        options.append("lazy_refcounts=on")
    if r.p(0.4):
        options.append(f"refcount_bits={r.choice([1, 2, 4, 8, 16, 32, 64])}")
    return options, extended


def create(r, img, name):
    target = r.choice(["qcow2", "vmdk", "vhdx", "raw"])
    options = []
    if target == "qcow2":
        options, extended = qcow2_options(r, [512, 4096, 65536, 262144, 2097152])
        mode = "none" if extended else r.choice(["none", "metadata", "falloc", "full"])
        if mode != "none":
            options.append(f"preallocation={mode}")
        size = r.choice(["1M", "16M", "64M"]) if mode == "none" else "1M"
    elif target == "vmdk":
        options = [f"subformat={r.choice(['monolithicSparse', 'streamOptimized'])}"]
        size = r.choice(["1M", "16M", "64M", "256M"])
    elif target == "vhdx":
        options = [f"block_size={r.choice(['16M', '32M'])}"]
        size = r.choice(["64M", "256M", "1G"])
    else:
        size = r.choice(["1M", "16M", "64M", "256M"])
    return {"op": name, "target": target, "size": size, "options": options}


def resize(r, img, name):
    target = r.choice(["qcow2", "raw"])
    qcow2 = target == "qcow2"
    options, extended = qcow2_options(r, [512, 4096, 65536, 262144]) if qcow2 else ([], False)
    mode = r.choice(["none", "off"] if extended else ["none", "off", "falloc", "full"])
    if mode in ("falloc", "full"):
        start = r.choice(["1M", "4M"])
        end = r.choice(["4M", "8M", "16M"])
        if end == start:
            end = "16M"
    else:
        start = r.choice(["1M", "4M", "16M", "256M"] if qcow2 else ["1M", "4M", "16M", "64M"])
        form = r.choice(["abs", "add", "sub"])
        if form == "abs":
            end = r.choice(["4M", "16M", "64M", "256M", "1G"] if qcow2 else ["4M", "16M", "64M", "256M"])
            if end == start:
                end = "1G" if qcow2 else "256M"
        elif form == "add":
            end = r.choice(["+1M", "+15M", "+63M", "+256M"] if qcow2 else ["+1M", "+15M", "+63M"])
        elif size_of(start) > M:
            end = r.choice(["-512K", "-1M"])
        else:
            end = "+63M"
    sign = {"+": 1, "-": -1}.get(end[0])
    end_bytes = size_of(end) if sign is None else size_of(start) + sign * size_of(end[1:])
    return {"op": name, "target": target, "start": start, "end": end, "options": options,
            "preallocation": None if mode == "none" else mode, "shrink": end_bytes < size_of(start), "end_bytes": end_bytes}


def amend(r, img, name):
    case = r.choice(["upgrade", "downgrade", "lazy-on", "lazy-off", "noop"])
    made = [f"cluster_size={r.choice([512, 4096, 65536])}"]
    if case != "downgrade" and r.p(0.4):
        made.append(f"refcount_bits={r.choice([1, 2, 4, 8, 16, 32, 64])}")
    made.append("compat=0.10" if case == "upgrade" else "compat=1.1")
    if case == "upgrade":
        amended = ["compat=1.1"] + (["lazy_refcounts=on"] if r.p(0.5) else [])
    elif case == "downgrade":
        amended = ["compat=0.10"]
    elif case == "lazy-on":
        amended = ["lazy_refcounts=on"]
    elif case == "lazy-off":
        made.append("lazy_refcounts=on")
        amended = ["lazy_refcounts=off"]
    else:
        amended = ["compat=1.1"]
    return {"op": name, "case": case, "size": "1M", "create_options": made, "amend_options": amended}


def some_writes(r, size, low=1, high=4):
    out = []
    for _ in range(r.randint(low, high)):
        length = min(r.randint(1, 8) * 512, size)
        offset = r.randint(0, size - length) // 512 * 512
        out.append([offset, length, r.randint(1, 255)])
    return out


def snapshots(r, size, steps, names, file, prefix):
    for number in range(1, r.randint(1, 3) + 1):
        steps.append([file, some_writes(r, size)])
        steps.append([f"snapshot {file}", f"{prefix}{number}"])
        names.append(f"{prefix}{number}")
    if r.p(0.5):
        steps.append([file, some_writes(r, size)])


def commit_snapshots(r, cluster):
    size = r.choice([16, 32, 64]) * M
    shape = r.choice(["backing", "overlay"])
    steps, names = [["base", some_writes(r, size)]], []
    if shape == "backing":
        snapshots(r, size, steps, names, "base", "snap")
    steps.append(["overlay", some_writes(r, size)])
    if shape == "overlay":
        snapshots(r, size, steps, names, "overlay", "osnap")
    return {"op": "commit", "snapshot_bearing": True, "shape": shape, "cluster_size": cluster, "size": size, "steps": steps, "snaps": names}


def rebase_snapshots(r, cluster):
    size = r.choice([8, 16, 32]) * M
    steps = [[file, some_writes(r, size, 2, 5)] for file in ("base_old", "base_new")]
    steps.append(["overlay", some_writes(r, size)])
    names = []
    snapshots(r, size, steps, names, "overlay", "snap")
    return {"op": "rebase", "snapshot_bearing": True, "cluster_size": cluster, "size": size, "steps": steps, "snaps": names}


def bench_snapshots(r, cluster):
    count = r.randint(50, 200)
    pattern = r.randint(1, 254)
    parts = r.randint(1, 2)
    span = count * 4096
    step = max(4096, span // parts // 4096 * 4096)
    steps, names, offset = [], [], 0
    for index in range(parts):
        steps.append(["img", [[offset, step, r.randint(1, 255)]]])
        offset += step
        if index == parts - 1 and offset < span:
            steps.append(["img", [[offset, span - offset, 0xAA]]])
        names.append(f"snap{index + 1}")
        steps.append(["snapshot img", names[-1]])
    return {"op": "bench", "snapshot_bearing": True, "cluster_size": cluster, "size": 64 * M, "count": count, "pattern": pattern,
            "steps": steps, "snaps": names}


WITH_SNAPSHOTS = {"commit": commit_snapshots, "rebase": rebase_snapshots, "bench": bench_snapshots}


def lazy(r, options):
    return options + (["lazy_refcounts=on"] if r.p(0.3) else [])


def rebase(r, img, name):
    overlay = r.choice(["1M", "4M", "64M"])
    new = r.choice(["1M", "4M", "64M"])
    backing = r.choice(["next.qcow2", "base.qcow2", "next.qcow2", ""])
    mode = r.choice(["unsafe", "safe"])
    options = lazy(r, [f"cluster_size={r.choice([512, 4096, 65536, 262144])}"])
    flags = (["-u"] if mode == "unsafe" else []) + (["-F", "qcow2"] if backing else [])
    return {"op": name, "overlay_size": overlay, "new_backing_size": new, "new_backing": backing, "mode": mode, "flags": flags,
            "create_options": options}


def commit(r, img, name):
    size = r.choice(["1M", "4M", "64M"])
    base = r.choice([None, "base.qcow2"])
    seed = r.choice([None, "seed-64k"])
    return {"op": name, "overlay_size": size, "explicit_base": base, "seed_spec": seed,
            "create_options": lazy(r, [f"cluster_size={r.choice([512, 4096, 65536])}"])}


def map_(r, img, name):
    if img["format"] == "raw" or img["format"] in ADDED:
        return {"op": name, "skipped": img["format"]}
    v = virtual_size(img)
    window = []
    if v >= 131072:
        if r.p(0.25):
            window += ["--start-offset", str(r.randint(0, v // 2) // 65536 * 65536)]
        if r.p(0.25):
            window += ["--max-length", str(min(v, r.randint(65536, v) // 65536 * 65536))]
    return {"op": name, "virtual_size_probe": v, "window": window}


def dd(r, img, name, skips):
    target = r.choice(["raw", "qcow2", "vmdk", "vpc", "vhdx"])
    v = virtual_size(img)
    u = r.random()
    if u < 0.45:
        bs = r.choice([512, 4096, 65536, 1048576])
    elif u < 0.90:
        bs = r.choice([1, 777, 999, 1000, 4095, 65537, 1048577])
    else:
        bs = 8388608
    blocks = -(-v // bs)
    cap = max(1, 67108864 // bs)
    skip = r.randint(0, min(max(2 * blocks, 1), 2 * cap))
    u = r.random()
    if u < 0.55:
        count = None
    elif u < 0.62:
        count = 0
    else:
        count = r.randint(1, min(max(math.floor(1.5 * blocks), 1), cap))
    end = v if count is None else min(count * bs, v)
    out = max(0, end - skip * bs)
    empty = {"skipped": "empty window"} if skips and out == 0 and target in ("vmdk", "vhdx") else {}
    return {"op": name, "target": target, "virtual_size_probe": v, "bs": bs, "count": count, "skip": skip, "out_vsize": out} | empty


def snapshot(r, img, name):
    cluster = r.choice([512, 4096, 65536])
    compat = r.choice(["1.1", "0.10"])
    extended = cluster == 65536 and compat == "1.1" and r.p(0.3)
    size = r.choice(["4M"] if cluster == 512 else ["4M", "16M", "64M"])
    backing = r.p(0.25)
    total = size_of(size)

    def write():
        length = r.choice([4096, 65536, 131072])
        offset = r.randint(0, total - length) // 4096 * 4096
        return ["write", offset, length, r.randint(1, 255)]

    seeds = [write() for _ in range(r.randint(0, 2))]
    live, chain = [], []
    for _ in range(r.randint(1, 8)):
        kind = r.choice(["delete", "apply", "write"] + (["create"] * 3 if len(live) < 16 else []))
        if kind == "write":
            chain.append(write())
            continue
        if kind == "create":
            label = r.choice(["alpha", "beta", "gamma", "2", "snap with spaces", "sn\u00e4p-\u540d\u524d", "L" * 255])
            live.append((1 + max([number for number, _ in live], default=0), label))
            chain.append(["create", label])
            continue
        n = r.randint(1, 20)
        if live:
            number, label = r.choice(live)
            argument = r.choice([label] * 3 + [str(number)] * 2 + ["no-such-snapshot", str(n)])
        else:
            argument = r.choice(["no-such-snapshot", str(n)])
        if kind == "delete":
            for entry in live:
                if entry[1] == argument:
                    live.remove(entry)
                    break
        chain.append([kind, argument])
    return {"op": name, "cluster_size": cluster, "compat": compat, "extended_l2": extended, "size": size, "backing": backing,
            "seed_writes": seeds, "chain": chain}


def repair(r, img, name):
    cluster = r.choice([512, 4096, 65536])
    damage = r.choice(["refcount_zero", "refcount_too_high", "leaked_cluster", "stale_copied", "overlapping"])
    return {"op": name, "cluster_size": cluster, "corruption": damage, "tier": r.choice(["leaks", "all"])}


def bitmap(r, img, name):
    cluster = r.choice([512, 4096, 65536, 262144, 2097152])
    size = r.choice(["1M", "4M", "16M", "64M"])
    table, calls, made = {}, [], 0
    default = min(max(cluster, 4096), 65536)
    for _ in range(r.randint(2, 6)):
        enabled = [one for one, (on, _) in table.items() if on]
        disabled = [one for one, (on, _) in table.items() if not on]
        pairs = [(to, source) for to in enabled for source in table if source != to and table[source][1] == table[to][1]]
        menu = (["add", "add-disabled"] if len(table) < 6 else []) + (["remove", "clear"] if table else [])
        menu += (["enable"] if disabled else []) + (["disable"] if enabled else []) + (["merge"] if pairs else [])
        action = r.choice(menu)
        if action.startswith("add"):
            label, made, flags, grain = f"b{made}", made + 1, ["--add"], default
            if action == "add-disabled":
                flags.append("--disable")
            elif r.p(0.5):
                grain = r.choice([512, 4096, 65536, 131072, 262144, 1048576, 2097152])
                flags += ["-g", str(grain)]
            table[label] = (action == "add", grain)
            calls.append(flags + [label])
        elif action == "merge":
            to, source = r.choice(pairs)
            calls.append(["--merge", source, to])
        else:
            label = r.choice({"enable": disabled, "disable": enabled}.get(action, list(table)))
            if action == "remove":
                del table[label]
            elif action != "clear":
                table[label] = (action == "enable", table[label][1])
            calls.append([f"--{action}", label])
    return {"op": name, "create_options": ["compat=1.1", f"cluster_size={cluster}", "refcount_bits=16"], "size": size, "invocations": calls}


def bench(r, img, name):
    fmt = r.choices(["qcow2", "raw", "vmdk", "vpc"], weights=[4, 4, 1, 1])[0]
    size = r.choice([1, 4, 16, 64]) * M
    cluster, full = None, False
    if fmt == "qcow2":
        cluster = r.choice([512, 4096, 65536, 262144, 2097152])
        full = r.p(0.5)
    calls = []
    for _ in range(r.randint(1, 3)):
        u = r.random()
        if u < 0.70:
            buffer = r.choice([512, 1024, 4096, 8192, 16384, 65536])
        elif u < 0.88:
            buffer = r.choice([4095, 4097, 12288, 65535, 65537, 131072])
        else:
            buffer = r.choice([one for one in (262144, 524288, 1048576, 2097152) if one <= size // 4])
        u = r.random()
        if u < 0.35:
            step = 0
        elif u < 0.68:
            step = buffer
        elif u < 0.84:
            step = r.choice([512, 4096, 65536, 131072, 262144])
        else:
            step = r.choice([513, 777, 1000, 4097, 65537])
        depth = r.randint(1, 64)
        pattern = r.randint(0, 255)
        eff = step or buffer
        last = size - buffer - 1
        count = min(r.randint(1, 256), last // eff + 1)
        budget = last - (count - 1) * eff
        offset = 0
        if budget > 0 and not r.p(0.5):
            offset = r.randint(0, budget)
        call = ["-f", fmt, "-c", str(count), "-d", str(depth), "-s", str(buffer), "-S", str(step), "--pattern", str(pattern), "-o", str(offset)]
        if fmt in ("qcow2", "raw") and r.p(0.5):
            call.append("-w")
            u = r.random()
            flush = None if u < 0.40 else 0 if u < 0.60 else r.randint(depth, max(depth, 4 * count))
            if flush is not None:
                call += ["--flush-interval", str(flush)]
            if flush and r.p(0.5):
                call.append("--no-drain")
        calls.append(call)
    return {"op": name, "recipe": {"fmt": fmt, "size": size, "cluster_size": cluster, "prepopulate": full}, "invocations": calls}


PICKERS = {"convert": convert, "convert_compressed": convert, "measure": measure, "create": create, "resize": resize, "amend": amend,
           "rebase": rebase, "commit": commit, "map": map_, "snapshot": snapshot, "repair": repair, "bitmap": bitmap, "bench": bench}


def operation(r, img, name, generation):
    if name in WITH_SNAPSHOTS and generation not in ("ops15", "ops16") and r.p(0.40):
        return WITH_SNAPSHOTS[name](r, r.choice([512, 4096, 65536]))
    if name == "dd":
        return dd(r, img, name, generation in ("ops15", "ops16"))
    return PICKERS[name](r, img, name) if name in PICKERS else {"op": name}


def iteration(generation, iter_seed, pool=None):
    r = Draws(iter_seed)
    img = image(r, generation)
    count = r.randint(2, 4)
    usual = OPS[:15] if generation == "ops15" else OPS
    names = [r.choice(pool or usual) for _ in range(count)]
    return {"generation": generation, "iter_seed": iter_seed, "image": img, "ops": [operation(r, img, name, generation) for name in names],
            "words_used": r.words}


def cow_soak(seed, index):
    plan = random.Random(f"{seed}-plan-{index}")
    cluster = plan.choice([512, 4096, 65536])
    name = plan.choice(["commit", "rebase", "bench"])
    r = Draws(f"{seed}-fixture-{index}")
    return {"generation": "cow_soak", "seed": seed, "iteration": index, "ops": [WITH_SNAPSHOTS[name](r, cluster)], "words_used": r.words}


def cases(generation, seed, count, pool=None):
    if generation == "cow_soak":
        yield from (cow_soak(seed, index) for index in range(count))
        return
    master = random.Random(seed)
    for index in range(count):
        case = iteration(generation, master.randint(0, 4294967295), pool)
        if pool:
            case["ops_filter"] = pool
        yield {"seed": seed, "iteration": index} | case


def check_golden(path):
    agreed = 0
    for golden in json.load(open(path)):
        golden.pop("issue", None)
        pool = golden.get("ops_filter")
        generation = golden["generation"].replace("-", "_")
        golden["generation"] = generation
        if generation == "cow_soak":
            case = cow_soak(golden["seed"], golden["iteration"])
        elif generation in FORMATS:
            case = {"seed": golden["seed"], "iteration": golden["iteration"]} | iteration(generation, golden["iter_seed"], pool)
            if pool:
                case["ops_filter"] = pool
            if golden["seed"] is not None and golden["iteration"] < 100:
                *_, last = cases(generation, golden["seed"], golden["iteration"] + 1, pool)
                assert last["iter_seed"] == golden["iter_seed"], golden
        else:
            continue
        assert case == golden, f"{path}:\n{json.dumps(case)}\nis not\n{json.dumps(golden)}"
        agreed += 1
    print(f"{path}: {agreed} golden cases agree")


if __name__ == "__main__":
    if sys.argv[1] == "golden":
        for path in sys.argv[2:]:
            check_golden(path)
    else:
        _, _, generation, seed, count, *pool = sys.argv
        for case in cases(generation, int(seed), int(count), pool[0].split(",") if pool else None):
            print(json.dumps(case, sort_keys=True))
