// SPDX-License-Identifier: Apache-2.0
// Test code: Morpho Blue itself with its own rate model and oracle of the package, put on a chain by one creation.
pragma solidity 0.8.19;

import "@morpho-org/morpho-blue/src/Morpho.sol";
import "@morpho-org/morpho-blue/src/mocks/IrmMock.sol";
import "@morpho-org/morpho-blue/src/mocks/OracleMock.sol";

contract Harness {
    Morpho public morpho = new Morpho(msg.sender);
    IrmMock public irm = new IrmMock();
    OracleMock public oracle = new OracleMock();
}
