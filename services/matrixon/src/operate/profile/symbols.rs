//! Names of addresses.
//!
//! The image's binary has no symbols, they would be a fifth of it. `docker/rootfs` leaves the names of its functions beside it,
//! compressed. Where that file is missing, the binary's own symbols must do.

use std::{
    env,
    ffi::c_void,
    fs::{self, File},
    io::{self, Read as _},
    path::Path,
};

use flate2::read::GzDecoder;

/// Lines `<address, hexadecimal> <name>`, in the order of the addresses.
const SUFFIX: &str = ".symbols.gz";
/// No names are longer than all of them together in a binary ten times as large.
const MAX_BYTES: u64 = 256 << 20;

#[derive(Debug, Default)]
pub(super) struct Symbols {
    /// Where the binary lies in memory.
    base: usize,
    end: usize,
    /// (address in the binary, name)
    functions: Vec<(usize, String)>,
}

impl Symbols {
    pub(super) fn load() -> Self {
        match Self::read() {
            Ok(symbols) => symbols,
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    tracing::warn!(%error, "cannot read the names of functions");
                }
                Self::default()
            }
        }
    }

    fn read() -> io::Result<Self> {
        let program = env::current_exe()?;
        let mut path = program.clone().into_os_string();
        path.push(SUFFIX);
        let mut text = String::new();
        GzDecoder::new(File::open(path)?).take(MAX_BYTES).read_to_string(&mut text)?;
        let maps = fs::read_to_string("/proc/self/maps")?;
        let (base, end) = parse_maps(&maps, &program).ok_or(io::ErrorKind::InvalidData)?;
        Ok(Self { base, end, functions: parse_functions(&text) })
    }

    /// Of the function that a call returns to and those inlined there, from the innermost outwards.
    pub(super) fn names(&self, address: usize) -> Vec<String> {
        // the call itself is before what it returns to
        let address = address.saturating_sub(1);
        if (self.base..self.end).contains(&address) {
            let place = address - self.base;
            let after = self.functions.partition_point(|(start, _)| *start <= place);
            if let Some((_, name)) = after.checked_sub(1).and_then(|index| self.functions.get(index)) {
                return vec![name.clone()];
            }
        }
        let names = resolve(address);
        if names.is_empty() { vec![format!("{address:#x}")] } else { names }
    }
}

fn parse_functions(text: &str) -> Vec<(usize, String)> {
    let functions = text.lines().filter_map(|line| {
        let (address, name) = line.split_once(' ')?;
        Some((usize::from_str_radix(address, 16).ok()?, name.trim().to_owned()))
    });
    functions.collect()
}

/// First and last address of a file in `/proc/self/maps`.
fn parse_maps(maps: &str, program: &Path) -> Option<(usize, usize)> {
    let program = program.to_str()?;
    let ranges = maps.lines().filter_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let (start, end) = fields.next()?.split_once('-')?;
        (fields.nth(4) == Some(program))
            .then(|| Some((usize::from_str_radix(start, 16).ok()?, usize::from_str_radix(end, 16).ok()?)))?
    });
    ranges.reduce(|all, range| (all.0.min(range.0), all.1.max(range.1)))
}

/// From the debug information of the binary and its libraries.
fn resolve(address: usize) -> Vec<String> {
    let mut names = Vec::new();
    backtrace::resolve(address as *mut c_void, |symbol| names.extend(symbol.name().map(|name| format!("{name:#}"))));
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_that_of_the_function_before() {
        let functions = parse_functions("10 first\n20  a::b<c, d>\nnonsense\n");
        let symbols = Symbols { base: 0x1000, end: 0x1100, functions };
        assert_eq!(symbols.names(0x1026), ["a::b<c, d>"]);
        assert_eq!(symbols.names(0x1020), ["first"]);
        assert_eq!(symbols.names(0x1002), ["0x1001"]);
        assert_eq!(symbols.names(0x11), ["0x10"]);
    }

    #[test]
    fn a_program_is_found_among_its_libraries() {
        let maps = "55a0-55b0 r--p 00000000 fe:00 12 /matrixon\n55b0-55f0 r-xp 00010000 fe:00 12 /matrixon\n\
                    7f00-7f10 r-xp 00000000 fe:00 13 /lib/libc.so.6\n7ff0-7fff rw-p 00000000 00:00 0 \n";
        assert_eq!(parse_maps(maps, Path::new("/matrixon")), Some((0x55a0, 0x55f0)));
        assert_eq!(parse_maps(maps, Path::new("/other")), None);
    }
}
