// An adapter for imgduel in Go: a reader of raw images, to begin with. Put the calls of your package in place of read.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

type request struct {
	Hello     int    `json:"hello"`
	Directory string `json:"directory"`
	Request   string `json:"request"`
	File      struct {
		Path   string `json:"path"`
		Format string `json:"format"`
	} `json:"file"`
}

// read returns the bytes that a guest sees: whole sectors.
func read(path string) ([]byte, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return append(data, make([]byte, (512-len(data)%512)%512)...), nil
}

func answer(asked request) map[string]any {
	if asked.Hello != 0 {
		formats := []string{"raw"}
		can := map[string]any{"info": formats, "contents": formats}
		return map[string]any{"protocol": 2, "name": "mypackage", "version": "1.0", "can": can}
	}
	data, err := read(filepath.Join(asked.Directory, asked.File.Path))
	if err != nil {
		return map[string]any{"refused": err.Error()}
	}
	if asked.Request == "info" {
		return map[string]any{"json": map[string]any{"virtual-size": len(data), "format": asked.File.Format}}
	}
	flat := asked.File.Path + ".flat"
	if err := os.WriteFile(filepath.Join(asked.Directory, flat), data, 0o600); err != nil {
		return map[string]any{"refused": err.Error()}
	}
	return map[string]any{"raw": flat}
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var asked request
		if err := json.Unmarshal(lines.Bytes(), &asked); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		line, _ := json.Marshal(answer(asked))
		fmt.Println(string(line))
	}
}
