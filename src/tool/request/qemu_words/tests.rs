//! Unit tests of `qemu_words.rs`.

use super::*;

fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

fn comes_back<T: InWords>(line: &str) {
    let read = T::read(&words(line)).expect(line);
    assert_eq!(read.words(), words(line));
}

#[test]
fn parsed_arguments_are_written_as_they_were() {
    comes_back::<Window>("");
    comes_back::<Window>("--start-offset 65536 --max-length 512");
    comes_back::<Vec<BitmapAction>>("--add -g 1048576 --disable");
    comes_back::<Vec<BitmapAction>>("--merge --add");
    comes_back::<BenchPlan>(
        "-c 8 -d 1 -s 4096 -S 0 --pattern 255 -o 7 -w --flush-interval 0 --no-drain",
    );
    comes_back::<RebaseMode>("-u -F qcow2");
    comes_back::<RebaseMode>("-F raw -c");
}

#[test]
fn invalid_arguments_are_refused_with_the_valid_ones() {
    fn refused<T: InWords>(line: &str, wanted: &str) {
        let error = T::read(&words(line)).err().expect(line);
        assert!(error.contains(wanted), "{error}");
    }
    refused::<Window>("--start-offset", "write its value");
    refused::<Window>("--start-offset -1", "write a number");
    refused::<Window>("--length 1", "write --start-offset");
    refused::<Window>("--max-length 1 --max-length 2", "given twice");
    refused::<Vec<BitmapAction>>("-g 512", "write it behind --add");
    refused::<Vec<BitmapAction>>("--merge", "write its value");
    refused::<BenchPlan>("-w", "there is no -c");
    refused::<BenchPlan>("-c 1 --pattern 256", "write 0 to 255");
    refused::<BenchPlan>("-c 1 --quiet", "write -c");
    refused::<RebaseMode>("-F ext4", "write one of raw");
}
