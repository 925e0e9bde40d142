import { create } from "@bufbuild/protobuf";
import { createContextValues, createHandlerContext } from "@connectrpc/connect";
import { describe, expect, it } from "vitest";
import {
  Health,
  HealthCheckRequestSchema,
  HealthCheckResponse_ServingStatus as Status,
} from "../../../gen/grpc/health/v1/health_pb.ts";
import { createHealthService } from "./health.ts";
import { TestHouse } from "./rpc-test-house.ts";

describe("health watch", () => {
  it("lets its watchers go when the process drains, which would else wait for them", async () => {
    const house = new TestHouse();
    house.ready = false;
    house.draining = true;
    const watch = createHealthService(house, new Set()).watch;
    if (watch === undefined) throw new Error("the service has no watch");
    const context = createHandlerContext({
      service: Health,
      method: Health.method.watch,
      protocolName: "grpc",
      requestMethod: "POST",
      url: "http://test/",
      contextValues: createContextValues(),
    });
    const told: unknown[] = [];
    const watching = (async () => {
      for await (const each of watch(create(HealthCheckRequestSchema), context)) told.push(each);
    })();
    await expect(watching).rejects.toThrow("shutting down");
    expect(told).toEqual([{ status: Status.NOT_SERVING }]);
  });
});
