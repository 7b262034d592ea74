# Put behind a tool's own opened(): does one request as a person would. Arguments: the tool, info, contents or session, the image,
# its format, behind it the path and the format of the image below it; of a session the ranges that are read, such as 512+4 or 0+1+511.
def by_hand(asked, path, format, refusals):
    try:
        words = [path, *format.split("+")]
        file = None
        while words:
            *words, name, own = words
            file = {"path": name, "format": own, "backing": file}
        with opened(path, file) as (size, read, read_at):
            if asked == "info":
                print(json.dumps({"virtual-size": size, "format": file["format"]}, indent=1))
                return
            if asked == "session":
                for words in sys.argv[5:]:
                    offset, *lengths = map(int, words.split("+"))
                    try:
                        pieces = []
                        for length in lengths:
                            pieces.append(read_at(offset, length) if length else b"")
                            offset += length
                        piece = b"".join(pieces)
                    except refusals + (EOFError, OverflowError):
                        print("refused")
                    else:
                        print("refused" if len(piece) != sum(lengths) else f"read {piece.hex()}")
                return
            with open(path + ".flat", "wb") as flat:
                while size and (piece := read(min(size, 1 << 20))):
                    flat.write(piece)
                    size -= len(piece)
            if size:
                raise OSError(f"the bytes end {size} before the end of the disk")
    except refusals as why:
        sys.exit(f"{type(why).__name__}: {why}")
    except Exception:
        # Not an exception that it means to throw: as bad as a signal.
        traceback.print_exc()
        sys.stderr.flush()
        os.abort()
