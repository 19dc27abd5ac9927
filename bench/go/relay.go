// A TCP proxy as one writes it in Go: io.Copy in both directions, which splices between two TCP connections.
//
// `relay TARGET` listens on a port of 127.0.0.1 that it prints, and ends with its standard input.

package main

import (
	"fmt"
	"io"
	"log"
	"net"
	"os"
)

func main() {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	go func() {
		io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	for {
		near, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go join(near.(*net.TCPConn), os.Args[1])
	}
}

func join(near *net.TCPConn, target string) {
	defer near.Close()
	far, err := net.Dial("tcp4", target)
	if err != nil {
		return
	}
	defer far.Close()
	done := make(chan struct{})
	go func() {
		pass(near, far.(*net.TCPConn))
		close(done)
	}()
	pass(far.(*net.TCPConn), near)
	<-done
}

// What one side ends is ended on the other, while the other direction goes on.
func pass(source, sink *net.TCPConn) {
	io.Copy(sink, source)
	sink.CloseWrite()
}
