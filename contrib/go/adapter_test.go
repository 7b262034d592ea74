package main

import (
	"encoding/xml"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

type testcase struct {
	Class   string    `xml:"classname,attr"`
	Name    string    `xml:"name,attr"`
	Failure *string   `xml:"failure"`
	Skipped *struct { Message string `xml:"message,attr"` } `xml:"skipped"`
}

// TestImgduel builds the adapter, lets imgduel try each seed and some fresh cases with it, and makes each a test.
func TestImgduel(t *testing.T) {
	directory := t.TempDir()
	adapter := filepath.Join(directory, "adapter")
	if out, err := exec.Command("go", "build", "-o", adapter, ".").CombinedOutput(); err != nil {
		t.Fatal(string(out))
	}
	seeds, _ := filepath.Glob("fuzz-seeds/*.json")
	if len(seeds) > 0 {
		try(t, adapter, append([]string{"replay"}, seeds...))
	}
	try(t, adapter, []string{"fuzz", "--seed", "1", "--iterations", "20"})
}

func try(t *testing.T, adapter string, arguments []string) {
	junit := filepath.Join(t.TempDir(), "junit.xml")
	arguments = append(arguments, "--candidate", "adapter:"+adapter, "--junit", junit)
	// The exit code says no more than the cases do.
	said, _ := exec.Command("imgduel", arguments...).CombinedOutput()
	text, err := os.ReadFile(junit)
	if err != nil {
		t.Fatal(string(said))
	}
	var report struct {
		Cases []testcase `xml:"testsuite>testcase"`
	}
	if err := xml.Unmarshal(text, &report); err != nil {
		t.Fatal(err)
	}
	for _, one := range report.Cases {
		t.Run(one.Class+"/"+one.Name, func(t *testing.T) {
			if one.Skipped != nil {
				t.Skip(one.Skipped.Message)
			}
			if one.Failure != nil {
				t.Error(*one.Failure)
			}
		})
	}
}
