#!/bin/sh
# An adapter for imgduel in shell: qemu-img behind the protocol. It needs jq.
# One JSON object a line on standard input, one line in return on standard output.
formats='["raw","qcow2"]'
version=$(qemu-img --version | sed -n '1s/.*version \([0-9.]*\).*/\1/p')

# Runs a command whose answer is JSON, or nothing; says what came of it.
say() {
    if output=$("$@" 2>"$complaint"); then
        if [ -n "$output" ]; then
            printf '%s' "$output" | jq -c '{json: .}'
        else
            echo '{}'
        fi
    else
        jq -c -n --rawfile why "$complaint" '{refused: $why}'
    fi
}

complaint=$(mktemp)
trap 'rm -f "$complaint"' EXIT
while IFS= read -r line; do
    field() { printf '%s' "$line" | jq -r "$1 // empty"; }
    if [ -n "$(field .hello)" ]; then
        jq -c -n --argjson formats "$formats" --arg version "$version" \
            '{protocol: 2, name: "qemu-img.sh", version: $version, backing: true,
              can: {info: $formats, contents: $formats, map: $formats, create: $formats,
                    check: ["qcow2"]},
              lacks: [{format: "qcow2", option: "encrypt.format", feature: "encryption"}]}'
        continue
    fi
    cd "$(field .directory)" || exit 1
    path=$(field .file.path)
    format=$(field .file.format)
    case $(field .request) in
    info) say qemu-img info -f "$format" --output=json "$path" ;;
    check) say qemu-img check -f "$format" --output=json "$path" ;;
    map)
        window=$(field '.window | [(.start | values | "--start-offset", .), (.length | values | "--max-length", .)] | join(" ")')
        # shellcheck disable=SC2086
        say qemu-img map -f "$format" --output=json $window "$path"
        ;;
    create)
        options=$(field '[.file.options | to_entries[] | "\(.key)=\(if .value == true then "on" elif .value == false then "off" else .value end)"] | join(",")')
        say qemu-img create -q -f "$format" ${options:+-o "$options"} "$path" "$(field .size_bytes)"
        ;;
    contents)
        if said=$(say qemu-img convert -f "$format" -O raw "$path" "$path.flat") && [ "$said" = '{}' ]; then
            jq -c -n --arg raw "$path.flat" '{raw: $raw}'
        else
            printf '%s\n' "$said"
        fi
        ;;
    *) echo '{"unsupported": "that request"}' ;;
    esac
done
