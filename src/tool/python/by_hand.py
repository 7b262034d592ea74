# Put behind a tool's own opened(): does one request as a person would. Arguments: the tool, info or contents, the image, its format.
def by_hand(asked, path, format, refusals):
    try:
        with opened(path, {"path": path, "format": format}) as (size, read):
            if asked == "info":
                print(json.dumps({"virtual-size": size, "format": format}, indent=1))
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
