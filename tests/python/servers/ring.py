"""A component whose tool calls the next component of a ring. usage: ring.py NAME PORT URL"""
import sys

from iccm_network import Client, Server, current_call

name, port, url = sys.argv[1:]
server = Server(name, port=int(port))
following = Client(url)


@server.tool
async def work(subject: str) -> dict:
    current_call().log("INFO", f"passes on {subject}")
    return await following.call("work", {"subject": subject})


server.run()
