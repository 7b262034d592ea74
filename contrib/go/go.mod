module mypackage

go 1.21
