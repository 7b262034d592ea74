//! What a child that was just forked gives itself before it is the tool: group, directory, streams, limits, confinement.
//!
//! The same for a child of the zygote and for one of a fork server. It does not start the tool.

use core::ffi::c_int;

use crate::inbox::Call;
use crate::protocol::PidFileEntry;
use crate::system;

/// Where a child writes the call's number and its own: its standard output, until that is the tool's.
const PID_FILE: c_int = 1;

/// Makes of this process what the call wants. A negated error number when that cannot be; nothing of the tool may run then.
pub fn settle(call: &Call<'_>) -> isize {
    system::lead_group(0);
    let entry = PidFileEntry {
        call: call.number(),
        process: system::own_process(),
    };
    system::write_at_start(PID_FILE, &entry.encode());
    match take_streams(call)
        .and_then(|()| checked(system::change_directory(call.directory)))
        .and_then(|()| take_limits(call))
        .and_then(|()| enter_ruleset(call))
    {
        Ok(()) => 0,
        Err(error) => error,
    }
}

/// A system call's result: an error, where it is negative.
fn checked(done: isize) -> Result<(), isize> {
    if done < 0 { Err(done) } else { Ok(()) }
}

fn take_streams(call: &Call<'_>) -> Result<(), isize> {
    for (to, from) in (0..).zip(call.streams()) {
        // Without a standard input, the child keeps its parent's, which has nothing to read.
        if from >= 0 || to > 0 {
            checked(system::duplicate(from, to))?;
            system::close(from);
        }
    }
    Ok(())
}

fn take_limits(call: &Call<'_>) -> Result<(), isize> {
    for (resource, limit) in call.limits() {
        checked(system::limit(resource, limit))?;
    }
    Ok(())
}

fn enter_ruleset(call: &Call<'_>) -> Result<(), isize> {
    let Some(ruleset) = call.ruleset() else {
        return Ok(());
    };
    checked(system::restrict(ruleset))?;
    system::close(ruleset);
    Ok(())
}
