// An S3 server in memory that checks every request's signature (version 4): prints its address, serves until killed.
//
//	s3 ACCESS_KEY SECRET_KEY BUCKET...
package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"

	"github.com/rclone/gofakes3"
	"github.com/rclone/gofakes3/s3mem"
)

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	keys := map[string]string{os.Args[1]: os.Args[2]}
	backend := s3mem.New()
	for _, bucket := range os.Args[3:] {
		if err := backend.CreateBucket(context.Background(), bucket); err != nil {
			panic(err)
		}
	}
	server := gofakes3.New(backend, gofakes3.WithV4Auth(keys))
	fmt.Println(listener.Addr())
	panic(http.Serve(listener, server.Server()))
}
